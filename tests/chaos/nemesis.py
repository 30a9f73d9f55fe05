"""Chaos: plays faults by a schedule that a seed decides: first each alone, then several at a time, then all at once."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from chaos.fault import Fault

AT_ONCE = 3
ALONE = 0.5
"""The part of the time in which faults come one by one."""

Say = Callable[[str], None]


class Played(NamedTuple):
    """A fault that was played; times are of the monotonic clock. `trouble`: why it could not be played as meant."""

    name: str
    began: float
    ended: float
    trouble: str | None


class Nemesis:
    """Plays `faults` until a moment; `last` is played once at the end. `steady` is waited for before those that need
    every replica whole."""

    def __init__(
        self, faults: Sequence[Fault], last: Fault, seed: int, say: Say, steady: Callable[[], None], pause: float = 2.0
    ) -> None:
        self._faults = list(faults)
        self._last = last
        self._chance = random.Random(f"{seed} nemesis")
        self._say = say
        self._steady = steady
        self._pause = pause
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self.played: list[Played] = []

    def run(self, seconds: float, goes_on: Callable[[], None]) -> None:
        """Plays for so long; asks `goes_on` between faults, which raises where there is no use in more of them."""
        self._began = time.monotonic()
        alone_until, until = self._began + ALONE * seconds, self._began + seconds
        bag: list[Fault] = []
        while time.monotonic() < alone_until:
            bag = bag or self._shuffled()
            self._play(bag.pop())
            goes_on()
            time.sleep(self._chance.uniform(0, self._pause))
        self._mixed(bag, until, goes_on)
        self._play(self._last)

    def _mixed(self, bag: list[Fault], until: float, goes_on: Callable[[], None]) -> None:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            running: dict[Future[None], frozenset[str]] = {}
            while time.monotonic() < until:
                goes_on()
                for future in [future for future in running if future.done()]:
                    del running[future]
                    future.result()
                bag = bag or self._shuffled()
                touched = frozenset[str]().union(*running.values())
                chosen = next((fault for fault in reversed(bag) if not fault.touches & touched), None)
                if chosen is not None and len(running) < AT_ONCE:
                    bag.remove(chosen)
                    running[pool.submit(self._play, chosen)] = chosen.touches
                time.sleep(self._chance.uniform(0, self._pause))

    def _shuffled(self) -> list[Fault]:
        return self._chance.sample(self._faults, len(self._faults))

    def _play(self, fault: Fault) -> None:
        trouble: str | None = None
        if fault.whole:
            self._steady()
        began = time.monotonic()
        self._say(f"{began - self._began:7.1f} s  {fault.name}")
        try:
            fault.begin()
            time.sleep(self._chance.uniform(*fault.hold))
        except Exception as error:  # noqa: BLE001 (a fault that meets another one's harm; it is said, and is in the table)
            trouble = f"{type(error).__name__}: {error}"
        for _ in range(20):
            try:
                fault.end()
                break
            except Exception as error:  # noqa: BLE001 (the same; the end must come, so that it is tried again)
                trouble = f"{type(error).__name__}: {error}"
                time.sleep(1)
        if trouble is not None:
            self._say(f"{time.monotonic() - self._began:7.1f} s  {fault.name}: not as meant: {trouble[:200]}")
        with self._lock:
            self.played.append(Played(fault.name, began, time.monotonic(), trouble))
