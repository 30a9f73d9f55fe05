"""Step 3 of 7, log to task: gathers records into batches, each with the range of every partition in it. Pure.

The records are carried, not read: a bad one is the task's to find.
"""

from __future__ import annotations

import dataclasses
from bisect import bisect_left

from polling.core.votes import Slice

Place = tuple[int, int]
"""(generation, partition)."""

_RECORD_OVERHEAD = 24  # bytes of offset, time and framing that a record adds to a batch


@dataclasses.dataclass
class _Part:
    first: int
    next: int
    offsets: list[int] = dataclasses.field(default_factory=list)
    times: list[int] = dataclasses.field(default_factory=list)
    values: list[bytes] = dataclasses.field(default_factory=list)


class Gatherer:
    """Records since the last batch, by partition. A range runs from the end of the batch before it to the consumer's
    position, because offsets have gaps."""

    def __init__(self) -> None:
        self.records = 0
        self.bytes = 0
        self._parts: dict[Place, _Part] = {}

    def assign(self, place: Place, start: int) -> None:
        """The partition is read from this offset on. What was gathered of it before is forgotten."""
        self.revoke(place)
        self._parts[place] = _Part(start, start)

    def revoke(self, place: Place) -> None:
        """The partition is read by somebody else now, from the frontier on."""
        part = self._parts.pop(place, None)
        if part is not None:
            self.records -= len(part.values)
            self.bytes -= sum(len(value) + _RECORD_OVERHEAD for value in part.values)

    def add(self, place: Place, offsets: list[int], times: list[int], values: list[bytes]) -> None:
        """Records of one partition, in order. Those of one that is not assigned, and those from before its range, are
        passed over."""
        part = self._parts.get(place)
        if part is None or offsets[-1] < part.next:
            return
        known = bisect_left(offsets, part.next)
        if known:
            offsets, times, values = offsets[known:], times[known:], values[known:]
        part.offsets += offsets
        part.times += times
        part.values += values
        part.next = offsets[-1] + 1
        self.records += len(values)
        self.bytes += sum(map(len, values)) + _RECORD_OVERHEAD * len(values)

    def reach(self, place: Place, position: int) -> None:
        """The consumer's position, past offsets that hold no record for us."""
        part = self._parts.get(place)
        if part is not None and position > part.next:
            part.next = position

    @property
    def handed(self) -> dict[Place, int]:
        """Up to where each partition was taken into batches."""
        return {place: part.first for place, part in self._parts.items()}

    @property
    def waiting(self) -> bool:
        """Whether there is anything to hand out: records, or a position that moved without any."""
        return self.records > 0 or any(part.next > part.first for part in self._parts.values())

    def take(self, records: int, size: int) -> list[Slice]:
        """A batch of at most so many records and bytes, but always one record if there is one. What is over stays."""
        slices: list[Slice] = []
        for (generation, partition), part in self._parts.items():
            if part.next == part.first:
                continue
            count, used = _fitting(part.values, records, size, at_least=not slices)
            if count == len(part.values):
                end = part.next
            elif count:
                end = part.offsets[count - 1] + 1
            else:
                continue
            slices.append(
                Slice(
                    generation,
                    partition,
                    part.first,
                    end,
                    part.offsets[:count],
                    part.times[:count],
                    part.values[:count],
                )
            )
            del part.offsets[:count], part.times[:count], part.values[:count]
            part.first = end
            records -= count
            size -= used
            self.records -= count
            self.bytes -= used
        return slices


def _fitting(values: list[bytes], records: int, size: int, *, at_least: bool) -> tuple[int, int]:
    count = used = 0
    for value in values:
        more = len(value) + _RECORD_OVERHEAD
        if count >= records or used + more > size:
            if at_least and count == 0:
                return 1, more
            break
        count += 1
        used += more
    return count, used
