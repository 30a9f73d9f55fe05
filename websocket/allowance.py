"""Step 7 of 7, show: how many frames one socket may send."""

from __future__ import annotations

from collections.abc import Callable

RATE = 100.0
"""Frames a second, for as long as one likes."""

BURST = 500.0
"""Frames that may come at once after a quiet time."""

PAUSE = 1.0
"""Seconds for which a socket that sends more is not read. It is told once, and then the network holds it back."""


class Allowance:
    """A token bucket. `clock` gives seconds that never go back."""

    __slots__ = ("_burst", "_clock", "_level", "_rate", "_then")

    def __init__(self, clock: Callable[[], float], rate: float = RATE, burst: float = BURST) -> None:
        self._clock = clock
        self._rate = rate
        self._burst = burst
        self._level = burst
        self._then = clock()

    def take(self) -> bool:
        """Whether one more frame is allowed now."""
        now = self._clock()
        self._level = min(self._burst, self._level + (now - self._then) * self._rate)
        self._then = now
        if self._level < 1.0:
            return False
        self._level -= 1.0
        return True
