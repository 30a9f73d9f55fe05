"""The embedded stack's tests: waiting, looking at processes, and `polling up` with dummy parts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

DUMMY = Path(__file__).with_name("dummy_up.py")
LIMIT = 60.0
"""Seconds that a wait may take before the test fails; generous, for a busy machine."""


def until(condition: Callable[[], object], what: str, limit: float = LIMIT) -> None:
    """Waits until the condition holds, or fails with what was waited for."""
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit} s: {what}"
        time.sleep(0.02)


def runs(pid: int) -> bool:
    """Whether that process is there and no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


class Up:
    """`polling up` with dummy parts, in a process group of its own, as a shell would start it."""

    def __init__(self, data: Path, stdout: int | None = None, **variables: str) -> None:
        self.data = data
        self.output = data.with_suffix(f".{time.monotonic_ns()}.out")
        outside = {"DB_USER": "u", "DB_PASSWORD": "p", "DB_HOST": "127.0.0.1", "DB_NAME": "d"}
        outside |= {"KAFKA_BROKER": "127.0.0.1:9", "REDIS_URL": "redis://127.0.0.1:9/0"}
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "error", str(DUMMY), str(data)],
                env=inherited | outside | variables,
                stdout=output if stdout is None else stdout,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def text(self) -> str:
        return self.output.read_text()

    def until_up(self) -> None:
        until(lambda: "Ctrl-C stops" in self.text() or self.process.poll() is not None, "the system is up")
        assert self.process.poll() is None, self.text()

    def pids(self) -> dict[str, int]:
        """Of the parts on record, with the bridge's child."""
        found = {path.stem: json.loads(path.read_text())["pid"] for path in (self.data / "run").glob("*.json")}
        until(lambda: b"child" in (self.data / "log/bridge.log").read_bytes(), "the bridge has its child")
        found["child"] = int((self.data / "log/bridge.log").read_text().split()[-1])
        return found

    def guard_pid(self) -> int:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return next(int(pid) for pid in children if b"guard.py" in Path(f"/proc/{pid}/cmdline").read_bytes())

    def signal_group(self, number: int) -> None:
        os.killpg(self.process.pid, number)

    def wait(self) -> int:
        return self.process.wait(LIMIT)
