"""Step 2 of 7, log: makes the vote log's topics, and keeps PostgreSQL's record of its generations."""

from __future__ import annotations

from polling.core.positions import MAX_GENERATION
from polling.settings import Settings
from polling.store.frontier import FrontierStore
from polling.store.rows import Generation
from polling.vote_log import DEAD_TOPIC, VOTES_TOPIC, Topics


class LogAdminError(Exception):
    """What an operator asked for cannot be done; the text says why, and what to do instead."""


def create(settings: Settings, store: FrontierStore, kafka: Topics) -> list[str]:
    """Makes what is missing; answers what was done, a line each. May run at any time, also twice.

    Raises:
        LogAdminError: a topic is there that nobody recorded, with records in it.
    """
    replication = (settings.votes_replication, settings.votes_min_insync)
    done = []
    if kafka.create(DEAD_TOPIC, 1, *replication):
        done.append(f"made topic {DEAD_TOPIC}")
    if store.generations_ever():
        return done or ["nothing to do"]
    if kafka.create(VOTES_TOPIC, settings.votes_partitions, *replication):
        done.append(f"made topic {VOTES_TOPIC} with {settings.votes_partitions} partitions")
    topic = kafka.describe(VOTES_TOPIC)
    if any(kafka.ends(VOTES_TOPIC, range(topic.partitions)).values()):
        raise LogAdminError(
            f"Kafka has a topic {VOTES_TOPIC} with records in it, of which this database knows nothing. "
            f"`polling topics adopt {VOTES_TOPIC}` takes it, and reads it from its start."
        )
    store.add_generation(Generation(1, *topic), [0] * topic.partitions)
    done.append(f"recorded {VOTES_TOPIC} as generation 1")
    return done


def adopt(store: FrontierStore, kafka: Topics, topic_name: str) -> Generation:
    """Takes a topic as the newest generation. A topic of the same name that was counted before is retired; where it
    is the same topic with more partitions, counting goes on where it stood.

    Raises:
        LogAdminError: it is a generation already.
        TopicMissing: Kafka has no such topic.
    """
    topic = kafka.describe(topic_name)
    number = store.generations_ever() + 1
    if number > MAX_GENERATION:
        raise LogAdminError(f"There were {MAX_GENERATION} generations, which is all there can be.")
    starts = kafka.starts(topic_name, range(topic.partitions))
    frontiers = store.frontiers()
    for known in store.generations():
        if known.topic_id == topic.topic_id and known.partitions == topic.partitions:
            ends = kafka.ends(topic_name, range(topic.partitions))
            if all(frontiers.get((known.number, partition), 0) <= end for partition, end in ends.items()):
                raise LogAdminError(f"{topic_name} is generation {known.number} already.")
            raise LogAdminError(
                f"{topic_name} lost records that generation {known.number} had counted. Make a new topic, adopt it, "
                f"and `polling topics retire {known.number}`."
            )
        if known.topic_id == topic.topic_id:
            for partition in range(known.partitions):
                starts[partition] = max(starts[partition], frontiers.get((known.number, partition), 0))
    generation = Generation(number, *topic)
    for known in store.generations():
        if known.topic == topic_name:
            store.retire_generation(known.number)
    store.add_generation(generation, [starts[partition] for partition in range(topic.partitions)])
    return generation
