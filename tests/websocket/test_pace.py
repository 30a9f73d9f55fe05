"""How often a poll is shown, in a time of our own; and how many frames a socket may send."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from websocket.allowance import Allowance
from websocket.pace import Pace

STEP = 0.1


class Time:
    """What Pace wants of a loop: a clock, and timers that fire when we let time pass."""

    def __init__(self) -> None:
        self.now = 100.0
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> Any:
        self._count += 1
        entry = (when, self._count, callback)
        heapq.heappush(self._timers, entry)

        class Handle:
            def cancel(handle) -> None:
                self._timers.remove(entry)
                heapq.heapify(self._timers)

        return Handle()

    def pass_until(self, then: float) -> None:
        while self._timers and self._timers[0][0] <= then:
            self.now, _, callback = heapq.heappop(self._timers)
            callback()
        self.now = then


def paced() -> tuple[Time, Pace, list[float]]:
    time = Time()
    shown: list[float] = []
    pace = Pace(cast(asyncio.AbstractEventLoop, time), lambda: shown.append(time.now), STEP)
    return time, pace, shown


def test_the_first_change_after_quiet_is_shown_at_once() -> None:
    time, pace, shown = paced()
    pace.changed()
    assert shown == [100.0]
    time.pass_until(100.2)
    pace.changed()
    assert shown == [100.0, 100.2]


def test_a_burst_is_shown_in_steps_and_its_last_change_too() -> None:
    time, pace, shown = paced()
    joined = []
    for tick in range(25):
        time.pass_until(100.0 + tick * 0.01)
        joined.append(pace.changed())
    time.pass_until(110.0)
    assert [round(moment, 3) for moment in shown] == [100.0, 100.1, 100.2, 100.3]
    assert joined.count(False) == 4


def test_a_stopped_pace_shows_nothing() -> None:
    time, pace, shown = paced()
    pace.changed()
    pace.changed()
    pace.stop()
    time.pass_until(110.0)
    assert shown == [100.0]


@given(st.lists(st.floats(0, 2, allow_nan=False), min_size=1))
def test_never_closer_than_a_step_and_never_without_the_last(moments: list[float]) -> None:
    time, pace, shown = paced()
    for moment in sorted(moments):
        time.pass_until(100.0 + moment)
        pace.changed()
    time.pass_until(200.0)
    assert all(later - earlier >= STEP - 1e-9 for earlier, later in itertools.pairwise(shown))
    last = 100.0 + max(moments)
    assert last <= shown[-1] <= last + STEP + 1e-9
    assert shown[0] == 100.0 + min(moments)


def test_an_allowance_is_a_burst_and_then_a_rate() -> None:
    now = [0.0]
    allowance = Allowance(lambda: now[0], rate=10, burst=5)
    assert [allowance.take() for _ in range(6)] == [True] * 5 + [False]
    now[0] = 0.25
    assert [allowance.take() for _ in range(3)] == [True, True, False]
    now[0] = 100.0
    assert sum(allowance.take() for _ in range(100)) == 5
