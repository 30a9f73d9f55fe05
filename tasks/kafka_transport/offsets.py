"""Celery over Kafka: which offset is safe to commit. Pure; the only place that knows.

Kafka remembers one number for each partition: everything before it is done. Tasks finish in any order, so the number
may only move over a prefix without gaps. Whatever lies behind an unfinished task is delivered again after a crash:
at least once, never less.
"""

from __future__ import annotations

from collections import OrderedDict


class OffsetTracker:
    """The delivered but not yet committable offsets of one partition, in the order of delivery.

    Offsets must be added in rising order (Kafka delivers so); gaps between them are normal (compaction,
    transactions, trimmed records) and count as done.
    """

    __slots__ = ("_acked",)

    def __init__(self) -> None:
        self._acked: OrderedDict[int, bool] = OrderedDict()

    def __len__(self) -> int:
        """How many delivered offsets are not committable yet, acknowledged ones behind a gap included."""
        return len(self._acked)

    def add(self, offset: int) -> None:
        """Note a delivered record. A record delivered again keeps its place.

        An offset below those delivered before means that the log was set back (a topic made anew): what was known of
        the old log is forgotten.
        """
        if self._acked and offset not in self._acked and offset < next(reversed(self._acked)):
            self._acked.clear()
        self._acked.setdefault(offset, False)

    def ack(self, offset: int) -> int | None:
        """Mark a record as done.

        Returns the offset to commit (one past the last record of the finished prefix) where the prefix grew, else
        None. An offset that is not tracked (acknowledged twice, or from before a rebalance) changes nothing.
        """
        if offset not in self._acked:
            return None
        self._acked[offset] = True
        committable = None
        while self._acked:
            first = next(iter(self._acked))
            if not self._acked[first]:
                break
            del self._acked[first]
            committable = first + 1
        return committable
