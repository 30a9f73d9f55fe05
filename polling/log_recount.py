"""Step 5 of 7, store: counts the log itself anew, as far as PostgreSQL says that it is counted, and compares.

Independent of the stored ballots: only the polls' rules and the extent of what is counted come from PostgreSQL.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from polling.core.recounting import LogRecount
from polling.store.log_snapshot import Snapshot
from polling.store.recounting import Recount
from polling.store.rows import Generation
from polling.vote_log import LogReader, LogTopic, Topics, as_slice

_FOR_EVER = datetime.max.replace(tzinfo=UTC)

Ranges = dict[int, tuple[int, int]]
"""Of each partition, the offsets from the first of which to before the second is to be read."""


@dataclasses.dataclass
class Plan:
    """`readings` one after the other bring each partition's counted records in their order. `complete_since` is when
    the oldest record was written after which none is missing: younger polls can be recounted. None: the log is complete
    from its very beginning."""

    readings: list[tuple[Generation, Ranges]] = dataclasses.field(default_factory=list)
    complete_since: datetime | None = None

    @property
    def offsets(self) -> int:
        """How many there are to read; gaps count, too."""
        return sum(after - first for _, ranges in self.readings for first, after in ranges.values())

    def lacks(self, until: datetime) -> None:
        """Records are missing, the newest of them from no later than that."""
        self.complete_since = until if self.complete_since is None else max(self.complete_since, until)


def plan(snapshot: Snapshot, kafka: Topics, reader: LogReader) -> Plan:
    """What is to be read, and what cannot be read any more.

    Raises:
        KafkaException: Kafka does not answer.
    """
    made = Plan()
    begun: dict[tuple[str, int], int] = {}  # a topic that grew in place belongs to one generation after the other
    for generation, retired_at in snapshot.generations:
        gone = retired_at or _FOR_EVER
        partitions = range(generation.partitions)
        there = kafka.has(LogTopic(*generation[1:]))
        starts = kafka.starts(generation.topic, partitions) if there else {}
        ends = kafka.ends(generation.topic, partitions) if there else {}
        readings: list[Ranges] = []
        for partition in partitions:
            ranges = snapshot.counted.get((generation.number, partition), [])
            name = (generation.topic_id, partition)
            begin = begun.get(name, 0)
            if not ranges or ranges[-1][1] <= begin:
                continue
            begun[name] = max(begin, ranges[0][1])
            if not there or ends[partition] < ranges[-1][1]:
                made.lacks(gone)
                continue
            start = starts[partition]
            if start > begin:
                made.lacks(_time_of_first(reader, generation, partition, start, ends[partition]) or gone)
            left = [(max(first, begin, start), after) for first, after in ranges if after > max(begin, start)]
            for number, one in enumerate(left):
                if number == len(readings):
                    readings.append({})
                readings[number][partition] = one
        made.readings += [(generation, reading) for reading in readings]
    return made


def _time_of_first(reader: LogReader, generation: Generation, partition: int, start: int, end: int) -> datetime | None:
    """When the oldest record that is left was written; None where none is left."""
    for _, messages in reader.read(generation.topic, {partition: (start, end)}):
        return datetime.fromtimestamp(messages[0].timestamp()[1] / 1000, UTC)
    return None


class Found(NamedTuple):
    """What came out: a recount of each poll that could be recounted, the ids of those that are too old for it, how many
    deleted ones were left out, and how many records were read."""

    recounts: list[Recount]
    too_old: list[str]
    deleted: int
    records: int


def recount(snapshot: Snapshot, planned: Plan, reader: LogReader, skew: float, on_read: Callable[[int], None]) -> Found:
    """Reads what is planned, and counts; `on_read` hears how many offsets each step was. `skew` is by how many seconds
    the clocks of Kafka and PostgreSQL may differ.

    Raises:
        RecordsGone: the log lost records since it was planned.
    """
    # A deleted poll's votes are rejected from a moment on that the log does not know.
    kept = {poll_id: poll for poll_id, poll in snapshot.polls.items() if not poll.deleted}
    since = planned.complete_since
    if since is not None and since < _FOR_EVER:
        since += timedelta(seconds=skew)
    young = {poll_id: poll for poll_id, poll in kept.items() if since is None or poll.created_at > since}
    counting = LogRecount({poll_id: poll.rules for poll_id, poll in young.items()})
    records = 0
    for generation, ranges in planned.readings if young else ():
        reached = {partition: first for partition, (first, _) in ranges.items()}
        for partition, messages in reader.read(generation.topic, ranges):
            part = as_slice(generation.number, partition, messages)
            counting.add(part)
            records += len(messages)
            on_read(part.next - reached[partition])
            reached[partition] = part.next
    recounts = [Recount(poll_id, poll.counts, poll.total, counting.counts(poll_id)) for poll_id, poll in young.items()]
    return Found(
        recounts, [poll_id for poll_id in kept if poll_id not in young], len(snapshot.polls) - len(kept), records
    )
