"""Step 1 of 7, accept: the ballots that the door knows were cast, so that a repeated vote is answered at once."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from polling.live import Live
from polling.vote_log import Position

CAPACITY = 100_000
"""Ballots kept in memory; the one that was asked for longest ago leaves first. Redis knows them for an hour."""


class Known(NamedTuple):
    """What a ballot was first cast for, and where that stands in the log (None where another process cast it)."""

    option: int
    position: Position | None


class BallotMemory:
    """Ballots whose first cast counts, written only after Kafka acknowledged: in memory, and in Redis for all.

    It may forget; the count decides then. Where it answers, it is right: the first cast of such a ballot is
    in the log already.
    """

    def __init__(self, live: Live, capacity: int = CAPACITY) -> None:
        self._live = live
        self._capacity = capacity
        self._known: OrderedDict[bytes, Known] = OrderedDict()

    async def recall(self, ballot: bytes) -> Known | None:
        """What is known of this ballot; asks Redis where memory has nothing. Never raises."""
        known = self._known.get(ballot)
        if known is not None:
            self._known.move_to_end(ballot)
            return known
        option = await self._live.ballot(ballot)
        return None if option is None else Known(option, None)

    def remember(self, ballot: bytes, option: int, position: Position) -> None:
        """Keeps an acknowledged cast. The first one stays."""
        if ballot in self._known:
            return
        self._known[ballot] = Known(option, position)
        if len(self._known) > self._capacity:
            self._known.popitem(last=False)
        self._live.remember_ballot(ballot, option, last_wins=False)
