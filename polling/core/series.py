"""Step 7 of 7, show: how a poll's votes grew: which points are shown of how many."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from polling.core.polls import Poll, Results

NOTED_EVERY = 5
"""Seconds between two points of a poll that changes: finer than that nothing is kept."""

MAX_POINTS = 500

_STEPS = (NOTED_EVERY, 10, 30, 60, 300, 600, 1800, 3600, 21_600, 86_400)
_OWN_POINTS = 3  # the beginning, now, and the step that has only begun


class Point(NamedTuple):
    """The votes of each option, in their order, as they stood at a time."""

    at: datetime
    votes: Sequence[int]


class Tier(NamedTuple):
    """Of points older than `after` seconds one is kept for each `step` of seconds."""

    after: int
    step: int


TIERS = (Tier(3600, 60), Tier(86_400, 600), Tier(30 * 86_400, 21_600))
"""How the series thins as it ages: an hour in full, a day by minutes, a month by ten of them, then by six hours."""


def step_of(seconds: float) -> int:
    """The width of the steps, in seconds, by which so long a time is shown in `MAX_POINTS` at most."""
    most = MAX_POINTS - _OWN_POINTS
    for step in _STEPS:
        if seconds <= step * most:
            return step
    return math.ceil(seconds / most)


def assemble(poll: Poll, noted: Iterable[Point], results: Results, now: datetime) -> list[Point]:
    """All points in the order of time: no votes when the poll was made, what was noted, and how it stands now."""
    between = [point for point in noted if poll.created_at < point.at < now]
    return [Point(poll.created_at, (0,) * len(poll.options)), *between, Point(now, results.counts)]
