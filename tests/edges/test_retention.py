"""The tests of the edges: what is counted and old goes from the log, what is not counted never does."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator

import psycopg
import pytest
from support import log
from support.waiting import until

from bridge.log_state import inspect
from bridge.progress import Progress
from polling.core.votes import Covered
from polling.settings import Settings
from polling.store.frontier import FrontierStore
from polling.store.migrate import migrate
from polling.store.rows import Generation
from polling.vote_log import Topics
from tasks import messages
from tasks.app import make_app
from tasks.housekeeping import delete_old_records

NOW = 1e-9
"""Days: all that was written by now is old enough."""


@pytest.fixture
def url(settings: Settings) -> Iterator[str]:
    """Of a database of its own, in which nothing is recorded yet."""
    name = f"retention_{uuid.uuid4().hex[:8]}"
    url = settings.database_url.rpartition("/")[0] + f"/{name}"
    migrate(url)
    yield url
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def store(url: str) -> Iterator[FrontierStore]:
    store = FrontierStore(url)
    yield store
    store.close()


@pytest.fixture
def connection(url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def kafka(kafka_broker: str) -> Topics:
    return Topics(kafka_broker)


def generation(kafka: Topics, broker: str, number: int, *records: int) -> Generation:
    """A topic of its own, with so many records in each partition."""
    name = f"log-{uuid.uuid4().hex[:8]}"
    kafka.create(name, len(records), 1, 1)
    for partition, wanted in enumerate(records):
        if wanted:
            log.write(broker, *[b"%d" % n for n in range(wanted)], topic=name, partition=partition)
    return Generation(number, *kafka.describe(name))


def starts(kafka: Topics, one: Generation) -> list[int]:
    found = kafka.starts(one.topic, range(one.partitions))
    return [found[partition] for partition in range(one.partitions)]


def test_nothing_uncounted_goes_and_the_newest_stays(
    store: FrontierStore, kafka: Topics, kafka_broker: str, connection: psycopg.Connection[tuple[object, ...]]
) -> None:
    """Partitions that are half counted, not counted, wholly counted, and empty."""
    one = generation(kafka, kafka_broker, 1, 10, 10, 10, 0)
    store.add_generation(one, [0, 0, 0, 0])
    store.advance({(1, 0): 4, (1, 2): 10})
    assert delete_old_records(connection, kafka, 0) == 0, "0 keeps everything"
    assert delete_old_records(connection, kafka, 1) == 0, "nothing is a day old"
    assert starts(kafka, one) == [0, 0, 0, 0]
    assert delete_old_records(connection, kafka, NOW) == 4 + 9
    assert starts(kafka, one) == [4, 0, 9, 0]
    assert delete_old_records(connection, kafka, NOW) == 0
    assert inspect(kafka, [one], store.frontiers()).lost == (), "the bridge misses nothing"


def test_what_is_young_stays(
    store: FrontierStore, kafka: Topics, kafka_broker: str, connection: psycopg.Connection[tuple[object, ...]]
) -> None:
    one = generation(kafka, kafka_broker, 1, 5)
    between = kafka.newest_times(one.topic, [0])[0]
    until(lambda: time.time() * 1000 > between + 50, "the clock has gone on")
    log.write(kafka_broker, b"young", b"younger", topic=one.topic, partition=0)
    store.add_generation(one, [0])
    store.advance({(1, 0): 7})
    age = (time.time() - (between + 25) / 1000) / 86_400
    assert delete_old_records(connection, kafka, age) == 5
    assert starts(kafka, one) == [5]


class NewLeader(Topics):
    """A Kafka that shows no record since a time, as a broker may that has just taken over."""

    def first_since(self, topic: str, partitions: Iterable[int], time: int) -> dict[int, int]:
        found = super().first_since(topic, partitions, time)
        return {partition: offset if partition == 2 else -1 for partition, offset in found.items()}


def test_what_a_new_leader_does_not_show_is_not_old(
    store: FrontierStore, kafka_broker: str, connection: psycopg.Connection[tuple[object, ...]]
) -> None:
    kafka = NewLeader(kafka_broker)
    one = generation(kafka, kafka_broker, 1, 10, 10, 10)
    store.add_generation(one, [0, 0, 0])
    store.advance({(1, 0): 10, (1, 1): 4, (1, 2): 10})
    assert delete_old_records(connection, kafka, 1) == 0
    assert starts(kafka, one) == [0, 0, 0]
    assert delete_old_records(connection, kafka, NOW) == 9 + 4 + 9


def test_the_newest_times_are_those_of_the_newest_records(kafka: Topics, kafka_broker: str) -> None:
    began = time.time() * 1000 - 5
    one = generation(kafka, kafka_broker, 1, 3, 0, 1)
    found = kafka.newest_times(one.topic, range(3))
    assert found.keys() == {0, 2}
    assert all(began <= at <= time.time() * 1000 + 5 for at in found.values())


def test_retired_generations_are_cleared_and_strange_topics_left_alone(
    store: FrontierStore, kafka: Topics, kafka_broker: str, connection: psycopg.Connection[tuple[object, ...]]
) -> None:
    retired, strange, gone = (generation(kafka, kafka_broker, number, 6) for number in (1, 2, 3))
    strange = strange._replace(topic_id="another")
    gone = gone._replace(topic="never-made", topic_id="third")
    for one in (retired, strange, gone):
        store.add_generation(one, [0])
        store.advance({(one.number, 0): 4})
    store.retire_generation(1)
    assert delete_old_records(connection, kafka, NOW) == 4
    assert starts(kafka, retired) == [4]
    assert starts(kafka, strange) == [0]


def test_the_bridge_calls_nothing_lost_that_was_counted_before_it_was_deleted(
    store: FrontierStore, url: str, kafka: Topics, kafka_broker: str
) -> None:
    """Its own frontier may be older than the one up to which was deleted; and what is really lost is said."""
    one = generation(kafka, kafka_broker, 1, 10, 10)
    store.add_generation(one, [0, 0])
    store.advance({(1, 0): 8})
    kafka.delete_before(one.topic, {0: 8, 1: 3})
    progress = Progress(url, kafka)
    progress._store = store
    progress._inspect([one], {(1, 0): 2, (1, 1): 0})
    assert store.lost() == [Covered(1, 1, 0, 3)]


def test_it_is_done_from_time_to_time(settings: Settings) -> None:
    entry = make_app(settings).conf.beat_schedule[messages.DELETE_OLD_RECORDS]
    assert entry["options"] == {"queue": messages.PERIODIC_QUEUE, "expires": entry["schedule"]}
    assert settings.log_retention_days == 30
