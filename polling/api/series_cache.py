"""Step 7 of 7, show: what was noted of polls over time, asked of PostgreSQL once for many readers."""

from __future__ import annotations

import time
from collections import OrderedDict

from polling.core.polls import Poll
from polling.core.series import Point
from polling.store.door import Store

FRESH = 2.0
"""Seconds for which a series is shown again: points come every five, and how the poll stands now is added each time."""

CAPACITY = 200
"""Series kept in memory, each of some 500 points."""


class SeriesCache:
    """What was noted of polls, at most `FRESH` old: a crowd that opens the same chart costs one query in that time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: OrderedDict[str, tuple[float, int, list[Point]]] = OrderedDict()

    async def get(self, poll: Poll, step: int) -> list[Point]:
        """The points of a poll. Raises StoreUnavailable."""
        known = self._known.get(poll.id)
        if known is not None and time.monotonic() - known[0] < FRESH and known[1] == step:
            return known[2]
        asked_at = time.monotonic()
        noted = await self._store.series(poll, step)
        self._known[poll.id] = (asked_at, step, noted)
        self._known.move_to_end(poll.id)
        while len(self._known) > CAPACITY:
            self._known.popitem(last=False)
        return noted
