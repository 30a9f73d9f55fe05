"""The supervisor: starts again with growing pauses, stops stage by stage, waits for nobody longer than allowed."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from polling.local.guard import Guard
from polling.local.parts import Command, Part
from polling.local.supervisor import Supervisor

from .dummy_up import POLITE, STUBBORN, python
from .helpers import until

LATE_WORDS = """
import signal, sys, time
def end(*_):
    time.sleep(0.3); print(sys.argv[1], flush=True); sys.exit()
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
time.sleep(600)
"""


def _part(name: str, words: tuple[str, ...], guard: Guard, tmp_path: Path, **more: float) -> Part:
    stop_limit = more.get("stop_limit", 10.0)
    command = Command(name, words, stage=1, stop_limit=stop_limit)
    return Part(command, {"PYTHONUNBUFFERED": "1"}, tmp_path / f"{name}.log", guard)


def test_pauses_grow_while_a_part_keeps_dying(guard: Guard, tmp_path: Path) -> None:
    said: list[str] = []
    supervisor = Supervisor(lambda name, words: said.append(words), first_pause=0.05)
    part = _part("mayfly", (sys.executable, "-c", "raise SystemExit(7)"), guard, tmp_path)
    part.start()
    supervisor.keep(part)
    until(lambda: sum("starting it again" in words for words in said) >= 3, "three deaths")
    supervisor.stop([[part]])
    deaths = [words for words in said if "starting it again" in words]
    assert deaths[:3] == [f"ended with code 7; starting it again in {pause} s" for pause in ("0.05", "0.1", "0.2")]
    assert not part.alive()


def test_a_part_that_cannot_be_started_is_said_and_tried_again(guard: Guard, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nsleep 600\n")
    program.chmod(0o755)
    said: list[str] = []
    supervisor = Supervisor(lambda name, words: said.append(words), first_pause=0.05)
    part = _part("lost", (str(program),), guard, tmp_path)
    part.start()
    supervisor.keep(part)
    program.chmod(0o644)
    part.kill()
    until(lambda: any("could not be started" in words for words in said), "it is said")
    program.chmod(0o755)
    until(part.alive, "it runs again")
    supervisor.stop([[part]])
    assert not part.alive()


def test_stages_stop_one_after_the_other(guard: Guard, tmp_path: Path) -> None:
    shared = tmp_path / "both.log"
    parts = [
        Part(Command(name, (*python(LATE_WORDS), name)), {"PYTHONUNBUFFERED": "1"}, shared, guard)
        for name in ("second", "first")
    ]
    supervisor = Supervisor(lambda name, words: None)
    for part in parts:
        part.start()
    supervisor.keep(*parts)
    until(lambda: shared.read_text().count("ready") == 2, "both are ready")
    supervisor.stop([[parts[1]], [parts[0]]])
    assert shared.read_text().split()[2:] == ["first", "second"]


def test_what_does_not_stop_is_killed_at_its_limit(guard: Guard, tmp_path: Path) -> None:
    part = _part("deaf", python(STUBBORN), guard, tmp_path, stop_limit=0.3)
    part.start()
    until(lambda: part.log.read_text() == "never\n", "it ignores SIGTERM by now")
    began = time.monotonic()
    Supervisor(lambda name, words: None).stop([[part]])
    assert 0.3 <= time.monotonic() - began < 60
    assert part.exit_code == -9


def test_nothing_is_started_again_while_stopping(guard: Guard, tmp_path: Path) -> None:
    said: list[str] = []
    supervisor = Supervisor(lambda name, words: said.append(words), first_pause=0.05)
    part = _part("beat", python(POLITE), guard, tmp_path)
    part.start()
    supervisor.keep(part)
    supervisor.stop([[part]])
    assert not part.alive()
    assert said == []
