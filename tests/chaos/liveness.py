"""Chaos: asks each door whether it lives, and takes the stacks of one that does not answer."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from support.http import Client

from chaos.ground import BROKEN

PATIENCE = 5.0
HUNG_AFTER = 30.0
"""Seconds without an answer after which a door that runs counts as hung. A busy machine alone holds it up for some."""

DUMP = signal.SIGUSR2
"""What `chaos.launch` answers with the stacks of all threads, in the part's log, whoever holds which lock."""

_EVERY = 1.0


class Door(NamedTuple):
    """`pid` is None while it is felled, or does not run."""

    name: str
    url: str
    pid: Callable[[], int | None]


class Liveness:
    """A thread for each door until `stop`. `hung` names each that hung, once a process."""

    def __init__(self, doors: list[Door], hung_after: float = HUNG_AFTER) -> None:
        self.hung: list[str] = []
        self._hung_after = hung_after
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._watch, args=(door,), name=f"liveness of {door.name}", daemon=True)
            for door in doors
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(PATIENCE + _EVERY + 10)

    def _watch(self, door: Door) -> None:
        named: int | None = None
        pid, since = door.pid(), time.monotonic()
        while not self._ended.wait(_EVERY):
            now = time.monotonic()
            runs = door.pid()
            if runs is None or runs != pid or _lives(door.url):
                pid, since = runs, time.monotonic()
            elif now - since > self._hung_after and pid != named and door.pid() == pid:
                named = pid
                self.hung.append(f"{door.name} (process {pid}): no answer for {now - since:.0f} s; {_stacks(pid)}")


def _lives(url: str) -> bool:
    try:
        with Client(url, patience=PATIENCE) as client:
            return client.get("/livez").status == 200
    except BROKEN:
        return False


def _stacks(pid: int) -> str:
    """What the kernel knows of each thread; what Python knows goes into the part's log."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, DUMP)
    found = []
    with contextlib.suppress(OSError):  # it may end meanwhile
        for task in sorted(Path(f"/proc/{pid}/task").iterdir()):
            name, wchan = ((task / file).read_text().strip() for file in ("comm", "wchan"))
            state, *numbers = (task / "stat").read_text().rpartition(")")[2].split()
            found.append(f"{name} {state} in {wchan}, {int(numbers[10]) + int(numbers[11])} ticks")
    return ", ".join(found)
