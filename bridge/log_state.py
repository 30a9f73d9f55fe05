"""Step 3 of 7, log to task: whether the log that Kafka has is the log that PostgreSQL has counted so far."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping

from polling.core.votes import Covered
from polling.store.frontier import Place
from polling.store.rows import Generation
from polling.vote_log import LogTopic, TopicMissing, Topics


@dataclasses.dataclass(frozen=True)
class LogState:
    """`topics` may be read; `complaints` say why others may not, and which command mends it; `lost` is what the log
    no longer has although it was never counted; `missing` are topics that Kafka does not know."""

    topics: Mapping[str, Generation]
    complaints: tuple[str, ...]
    lost: tuple[Covered, ...]
    missing: tuple[str, ...] = ()


def inspect(
    kafka: Topics, generations: list[Generation], frontiers: Mapping[Place, int], ever: Collection[str] | None = None
) -> LogState:
    """Asks Kafka about each generation's topic. Where `ever` names all topics that ever were generations, it looks for
    topics of votes as well that are none.

    Raises:
        confluent_kafka.KafkaException: Kafka does not answer.
    """
    if not generations:
        return LogState({}, ("No vote log is recorded yet. `polling topics create` makes one.",), ())
    readable: dict[str, Generation] = {}
    complaints: list[str] = []
    lost: list[Covered] = []
    missing: list[str] = []
    for generation in generations:
        try:
            topic = kafka.describe(generation.topic)
        except TopicMissing:
            complaints.append(_missing(generation))
            missing.append(generation.topic)
            continue
        complaint = _differs(generation, topic)
        if complaint is None:
            partitions = range(generation.partitions)
            ends = kafka.ends(generation.topic, partitions)
            complaint = _shrunk(generation, ends, frontiers)
        if complaint is not None:
            complaints.append(complaint)
            continue
        readable[generation.topic] = generation
        for partition, start in kafka.starts(generation.topic, partitions).items():
            frontier = frontiers.get((generation.number, partition), 0)
            if start > frontier:
                lost.append(Covered(generation.number, partition, frontier, start))
    if ever is not None:
        complaints += [_unrecorded(topic) for topic in sorted(kafka.vote_topics().difference(ever))]
    return LogState(readable, tuple(complaints), tuple(lost), tuple(missing))


def _unrecorded(topic: str) -> str:
    return (
        f"Kafka has a topic {topic}, which is no generation of the vote log, as where PostgreSQL was restored from an "
        f"older backup. `polling topics adopt {topic}` takes it; if nobody ever voted there, delete it."
    )


def _missing(generation: Generation) -> str:
    return (
        f"Kafka has no topic {generation.topic}, which is generation {generation.number} of the vote log. "
        f"`polling topics grow` makes a new one; `polling topics retire {generation.number} --force` gives this one "
        "up, with all that is not counted."
    )


def _differs(generation: Generation, topic: LogTopic) -> str | None:
    if (topic.cluster_id, topic.topic_id) != (generation.cluster_id, generation.topic_id):
        return (
            f"Topic {generation.topic} is not the one that was counted so far (topic id {topic.topic_id}, "
            f"not {generation.topic_id}). `polling topics adopt {generation.topic}` takes it as a new generation."
        )
    if topic.partitions != generation.partitions:
        return (
            f"Topic {generation.topic} has {topic.partitions} partitions, not {generation.partitions}: "
            f"`polling topics adopt {generation.topic}` takes it as a new generation."
        )
    return None


def _shrunk(generation: Generation, ends: Mapping[int, int], frontiers: Mapping[Place, int]) -> str | None:
    for partition, end in ends.items():
        frontier = frontiers.get((generation.number, partition), 0)
        if end < frontier:
            return (
                f"Partition {partition} of {generation.topic} ends at {end}, but was counted up to {frontier}: the log "
                f"lost records. `polling topics grow` makes a new one; `polling topics retire {generation.number} "
                "--force` gives this one up."
            )
    return None
