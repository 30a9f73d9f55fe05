"""The embedded stack: starts again what dies, and stops everything in order."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from polling.local.errors import LocalError

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
"""Seconds between a death and the next start: the first pause, doubled at each death, up to the longest."""
SETTLED = 60.0
"""Seconds of life after which a death is a first one again."""


class Supervised(Protocol):
    """A server or a part of ours."""

    @property
    def name(self) -> str: ...
    @property
    def exit_code(self) -> int | None: ...
    def alive(self) -> bool: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...


class Supervisor:
    """Keeps what it was given alive until `stop`.

    Each supervised thing has a thread of its own, for starting one may take seconds and must not keep the others
    waiting. `say` is told of every death, as (name, words).
    """

    def __init__(self, say: Callable[[str, str], None], first_pause: float = FIRST_PAUSE) -> None:
        self._say = say
        self._first_pause = first_pause
        self._stopping = threading.Event()
        self._keepers: dict[str, threading.Thread] = {}
        self._kept: list[Supervised] = []

    def keep(self, *supervised: Supervised) -> None:
        """Watches over these from now on; they run already."""
        for one in supervised:
            keeper = threading.Thread(target=self._keep, args=(one,), name=f"keeper-{one.name}", daemon=True)
            self._kept.append(one)
            self._keepers[one.name] = keeper
            keeper.start()

    def stop(self, stages: Sequence[Sequence[Supervised]]) -> None:
        """Stops these, stage by stage; within a stage all at once. Nothing is started again from now on."""
        self._stopping.set()
        for stage in stages:
            with ThreadPoolExecutor(max(1, len(stage))) as pool:
                for stopping in [pool.submit(self._stop_one, one) for one in stage]:
                    stopping.result()

    def _stop_one(self, one: Supervised) -> None:
        keeper = self._keepers.get(one.name)
        one.stop()
        # Its keeper may just have been starting it again: then that start is stopped as well.
        while keeper is not None and keeper.is_alive():
            keeper.join(0.1)
            one.stop()

    def _keep(self, one: Supervised) -> None:
        pause = self._first_pause
        started = time.monotonic()
        while not self._stopping.wait(0.1):
            if one.alive():
                continue
            how = describe_exit(one.exit_code)
            # Whatever it left of its process group goes before its successor comes.
            one.kill()
            if time.monotonic() - started > SETTLED:
                pause = self._first_pause
            self._say(one.name, f"{how}; starting it again in {pause:g} s")
            if self._stopping.wait(pause):
                return
            pause = min(2 * pause, LONGEST_PAUSE)
            started = time.monotonic()
            try:
                one.start()
            except (LocalError, OSError) as error:
                if not self._stopping.is_set():
                    self._say(one.name, f"could not be started: {error}")
            else:
                self._say(one.name, "runs again")


def describe_exit(code: int | None) -> str:
    """The end of a process in words."""
    if code is None:
        return "is not running"
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with code {code}"
