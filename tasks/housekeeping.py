"""Step 2 of 7, log: deletes records that are counted and old. Nothing that is not counted ever goes."""

from __future__ import annotations

import time
from typing import Any

import psycopg

from polling.store.queries import query
from polling.telemetry import logger
from polling.vote_log import LogTopic, RecordsGone, Topics

log = logger(__name__)

Connection = psycopg.Connection[tuple[Any, ...]]

_DAY = 86_400.0


def delete_old_records(connection: Connection, topics: Topics, days: float) -> int:
    """Deletes, of every generation that Kafka still has, retired ones too, what is before the frontier and older than
    so many days; answers how many offsets that were. 0 days: nothing, for everything is kept.

    The newest record of a partition stays, so that the log itself tells how far back it goes. A topic that is not the
    one that was counted is left alone.

    Raises:
        KafkaException: Kafka does not answer; some records may be deleted.
    """
    if days == 0:
        return 0
    before = int((time.time() - days * _DAY) * 1000)
    frontiers = {tuple(place): after for *place, after in connection.execute(query("every_frontier")).fetchall()}
    deleted = 0
    for number, *names, _retired_at in connection.execute(query("every_generation")).fetchall():
        generation = LogTopic(*names)
        if topics.has(generation):
            limits = {partition: frontiers.get((number, partition), 0) for partition in range(generation.partitions)}
            deleted += _delete(topics, generation, limits, before)
    return deleted


def _delete(topics: Topics, generation: LogTopic, limits: dict[int, int], before: int) -> int:
    """Deletes up to the lower of each partition's limit and its first record since that time (milliseconds)."""
    starts = topics.starts(generation.topic, limits)
    ends = topics.ends(generation.topic, limits)
    young = topics.first_since(generation.topic, limits, before)
    wanted: dict[int, int] = {}
    for partition, limit in limits.items():
        oldest_kept = young[partition] if young[partition] >= 0 else ends[partition]
        upto = min(limit, oldest_kept, ends[partition] - 1)
        if upto > starts[partition]:
            wanted[partition] = upto
    wanted = _old(topics, generation, wanted, before)
    if not wanted:
        return 0
    topics.delete_before(generation.topic, wanted)
    offsets = sum(upto - starts[partition] for partition, upto in wanted.items())
    log.info("old records deleted", topic=generation.topic, records=offsets, partitions=len(wanted))
    return offsets


def _old(topics: Topics, generation: LogTopic, wanted: dict[int, int], before: int) -> dict[int, int]:
    """Of these offsets those before which all is older than that: the newest record that would go says so itself, for
    Kafka may have answered that there is none since then where it only does not show it for now."""
    if not wanted:
        return {}
    try:
        times = topics.written_at(generation.topic, {partition: upto - 1 for partition, upto in wanted.items()})
    except RecordsGone:
        log.info("old records are deleted by somebody else", topic=generation.topic)
        return {}
    old = {partition: upto for partition, upto in wanted.items() if times.get(partition, before) < before}
    if young := sorted(wanted.keys() - old):
        log.warning("Kafka took young records for old ones; they stay", topic=generation.topic, partitions=young)
    return old
