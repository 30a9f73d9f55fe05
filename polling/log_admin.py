"""Step 2 of 7, log: makes the vote log's topics, and keeps PostgreSQL's record of its generations."""

from __future__ import annotations

import time

import psycopg

from polling.core.positions import MAX_GENERATION
from polling.settings import Settings
from polling.store.frontier import FrontierStore
from polling.store.rows import Generation
from polling.vote_log import DEAD_TOPIC, VOTES_TOPIC, LogTopic, Topics

_QUIET = 60.0
"""Seconds without a new record after which nobody seems to write to an older generation any more."""


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
    continued = None
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
            continued = known.number
            for partition in range(known.partitions):
                starts[partition] = max(starts[partition], frontiers.get((known.number, partition), 0))
    generation = Generation(number, *topic)
    replaced = [known.number for known in store.generations() if known.topic == topic_name]
    store.add_generation(
        generation, [starts[partition] for partition in range(topic.partitions)], replaced=replaced, continued=continued
    )
    return generation


def grow(settings: Settings, store: FrontierStore, kafka: Topics, partitions: int) -> Generation:
    """Makes a topic with so many partitions, under the next free name, and takes it as the newest generation.

    Raises:
        LogAdminError: there was no generation yet, or somebody else adds one at the same time.
    """
    if not store.generations_ever():
        raise LogAdminError("There is no vote log yet. `polling topics create` makes one.")
    number = store.generations_ever() + 1
    taken = store.topics_ever()
    name = f"{VOTES_TOPIC}.{number}"
    while name in taken or not kafka.create(name, partitions, settings.votes_replication, settings.votes_min_insync):
        number += 1
        name = f"{VOTES_TOPIC}.{number}"
    try:
        return adopt(store, kafka, name)
    except psycopg.errors.UniqueViolation as error:
        raise LogAdminError(
            f"Somebody else added a generation just now. `polling topics adopt {name}` adds this one too, or delete it."
        ) from error


def retire(store: FrontierStore, kafka: Topics, number: int, *, force: bool) -> int | None:
    """Ends the reading of a generation; answers how many of its records are given up uncounted, None where Kafka does
    not have its log any more.

    Raises:
        LogAdminError: there is no such generation; or it may still hold votes that must be counted, or get some, and
            this is not to be forced.
    """
    generations = {known.number: known for known in store.generations()}
    generation = generations.get(number)
    if generation is None:
        raise LogAdminError(f"There is no generation {number} that is read. `polling topics show` lists them.")
    left = _uncounted(store, kafka, generation)
    if not force and (why := _needed(kafka, generation, left, newest=max(generations))):
        raise LogAdminError(f"Generation {number} {why}. `--force` retires it all the same.")
    store.retire_generation(number)
    return left


def _needed(kafka: Topics, generation: Generation, left: int | None, newest: int) -> str | None:
    """Why it had better be read on."""
    if generation.number == newest:
        return "is the newest, which votes are written to: `polling topics grow` makes another one first"
    if left is None:
        return "is not in Kafka as it was counted, so that nobody can say what is not counted of it"
    if left:
        return f"has {left} records that are not counted yet"
    newest_time = max(kafka.newest_times(generation.topic, range(generation.partitions)).values(), default=0)
    if time.time() - newest_time / 1000 < _QUIET:
        return f"was written to in the last {_QUIET:.0f} s: somebody may not have heard of the newer one yet"
    return None


def _uncounted(store: FrontierStore, kafka: Topics, generation: Generation) -> int | None:
    if not kafka.has(LogTopic(*generation[1:])):
        return None
    ends = kafka.ends(generation.topic, range(generation.partitions))
    frontiers = store.frontiers()
    lags = [end - frontiers.get((generation.number, partition), 0) for partition, end in ends.items()]
    return sum(lags) if min(lags) >= 0 else None
