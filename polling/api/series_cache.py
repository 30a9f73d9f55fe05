"""Step 7 of 7, show: what was noted of polls over time, asked of PostgreSQL once for many readers."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from typing import NamedTuple

from polling.core.polls import Poll
from polling.core.series import Point
from polling.store.door import Store

FRESH = 2.0
"""Seconds for which a series is shown again: points come every five, and how the poll stands now is added each time."""

CAPACITY = 200
"""Series kept in memory, each of some 500 points."""


class _Asked(NamedTuple):
    """`at` in monotonic seconds."""

    at: float
    step: int
    answer: asyncio.Task[list[Point]]

    @property
    def failed(self) -> bool:
        return self.answer.done() and (self.answer.cancelled() or self.answer.exception() is not None)


class SeriesCache:
    """What was noted of polls, at most `FRESH` old: a crowd that opens the same chart costs one query in that time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._asked: OrderedDict[str, _Asked] = OrderedDict()

    async def get(self, poll: Poll, step: int) -> list[Point]:
        """The points of a poll. Raises StoreUnavailable."""
        asked, now = self._asked.get(poll.id), time.monotonic()
        if asked is None or now - asked.at >= FRESH or asked.step != step or asked.failed:
            answer = asyncio.create_task(self._store.series(poll, step), name="read a series")
            # Whoever asked may be gone when the answer is an error.
            answer.add_done_callback(lambda done: done.cancelled() or done.exception())
            asked = self._asked[poll.id] = _Asked(now, step, answer)
            self._asked.move_to_end(poll.id)
            while len(self._asked) > CAPACITY:
                self._asked.popitem(last=False)
        return await asyncio.shield(asked.answer)
