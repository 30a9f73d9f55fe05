"""Chaos, tested: what is changed in the product from outside is still there to be changed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from chaos.arena import LAUNCH, TESTS
from chaos.launch import FAILPOINTS
from chaos.sabotage import SAFEGUARDS

TOP = TESTS.parent


def printed(*command: str) -> str:
    """What a process of its own prints, started as the parts of a run are."""
    environment = os.environ | {"PYTHONPATH": str(TESTS)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "options",
    [
        ["--clock=3600"],
        [f"--failpoint={name}:0.5" for name in FAILPOINTS],
        *([f"--without={name}"] for name in SAFEGUARDS),
    ],
    ids=lambda options: options[0].partition(":")[0],
)
def test_a_process_starts_with(options: list[str]) -> None:
    assert "--concurrency" in printed(*LAUNCH, *options, "worker", "--help")


def test_everything_hears_the_other_clock() -> None:
    """All modules that ask what time it is, so that none is forgotten."""
    asking = {
        str(path.relative_to(TOP)).removesuffix(".py").replace("/", ".")
        for folder in ("polling", "tasks", "bridge", "websocket")
        for path in (TOP / folder).rglob("*.py")
        if "datetime.now(" in path.read_text(encoding="utf-8")
    }
    assert len(asking) >= 10
    told = printed(
        *(sys.executable, "-P", "-c"),
        "import importlib, sys, time\n"
        "from datetime import UTC, datetime\n"
        "from chaos.launch import shift_clock\n"
        "real = time.time()\n"
        "shift_clock(3600.0)\n"
        "print(time.time() - real)\n"
        "for name in sys.argv[1:]:\n"
        "    print(importlib.import_module(name).datetime.now(UTC).timestamp() - real)\n",
        *sorted(asking),
    )
    off = dict(zip(["time", *sorted(asking)], map(float, told.split()), strict=True))
    assert all(3600 <= seconds < 3660 for seconds in off.values()), off
