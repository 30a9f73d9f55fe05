"""The integration tests: a vote log that is not the one that was counted so far: it is named, not read."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import psycopg
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions
from support import log
from support.system import System
from support.waiting import until

from bridge.log_state import inspect
from polling import log_admin
from polling.core.votes import Covered
from polling.settings import Settings
from polling.store.frontier import FrontierStore
from polling.store.migrate import migrate
from polling.store.rows import Generation
from polling.vote_log import LogTopic, Topics


@pytest.fixture
def kafka(kafka_broker: str) -> Topics:
    return Topics(kafka_broker)


@pytest.fixture
def admin(kafka_broker: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": kafka_broker})


@pytest.fixture
def topic(kafka: Topics, kafka_broker: str) -> LogTopic:
    """A topic of its own with two partitions, and three records in the second."""
    name = f"log-{uuid.uuid4().hex[:8]}"
    kafka.create(name, 2, 1, 1)
    for value in (b"a", b"b", b"c"):
        log.write(kafka_broker, value, topic=name, partition=1)
    return kafka.describe(name)


def generation(topic: LogTopic, number: int = 1) -> Generation:
    return Generation(number, *topic)


def test_the_log_that_was_counted_is_read(kafka: Topics, topic: LogTopic) -> None:
    state = inspect(kafka, [generation(topic)], {(1, 1): 2})
    assert state.topics == {topic.topic: generation(topic)}
    assert (state.complaints, state.lost) == ((), ())


def test_without_a_log_the_command_is_named_that_makes_one(kafka: Topics) -> None:
    state = inspect(kafka, [], {})
    assert not state.topics
    assert "`polling topics create`" in state.complaints[0]


def test_a_topic_that_is_gone(kafka: Topics, topic: LogTopic) -> None:
    missing = generation(topic)._replace(topic="never-made")
    state = inspect(kafka, [missing, generation(topic, 2)], {})
    assert set(state.topics) == {topic.topic}, "the others are read on"
    assert "`polling topics retire 1 --force`" in state.complaints[0]


@pytest.mark.parametrize("what", ["topic", "cluster"])
def test_another_topic_under_the_old_name(kafka: Topics, topic: LogTopic, what: str) -> None:
    counted = topic._replace(topic_id="another") if what == "topic" else topic._replace(cluster_id="another")
    state = inspect(kafka, [generation(counted)], {})
    assert not state.topics
    assert f"`polling topics adopt {topic.topic}`" in state.complaints[0]


def test_a_topic_that_grew(kafka: Topics, topic: LogTopic, admin: AdminClient) -> None:
    admin.create_partitions([NewPartitions(topic.topic, 3)])[topic.topic].result(30)
    until(lambda: kafka.describe(topic.topic).partitions == 3, "the topic has grown")
    state = inspect(kafka, [generation(topic)], {})
    assert not state.topics
    assert "3 partitions, not 2" in state.complaints[0]


def test_a_log_that_ends_before_what_was_counted(kafka: Topics, topic: LogTopic) -> None:
    state = inspect(kafka, [generation(topic)], {(1, 1): 4})
    assert not state.topics
    assert "ends at 3, but was counted up to 4" in state.complaints[0]
    assert "`polling topics grow`" in state.complaints[0]


def test_a_log_that_begins_after_what_was_counted(kafka: Topics, topic: LogTopic, admin: AdminClient) -> None:
    cut = TopicPartition(topic.topic, 1, 2)
    for done in admin.delete_records([cut]).values():
        done.result(30)
    state = inspect(kafka, [generation(topic)], {(1, 1): 1})
    assert set(state.topics) == {topic.topic}, "the bridge goes on"
    assert state.lost == (Covered(1, 1, 1, 2),)


@pytest.fixture
def store(settings: Settings) -> Iterator[FrontierStore]:
    """A database of its own, in which nothing is recorded yet."""
    name = f"log_{uuid.uuid4().hex[:8]}"
    url = settings.database_url.rpartition("/")[0] + f"/{name}"
    migrate(url)
    store = FrontierStore(url)
    yield store
    store.close()
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name}")


def test_a_lost_range_stands_until_it_is_acknowledged(store: FrontierStore, topic: LogTopic) -> None:
    store.add_generation(generation(topic), [0, 0])
    for _ in range(2):
        store.record_lost(Covered(1, 1, 0, 2))
    assert store.lost() == [Covered(1, 1, 0, 2)]
    assert store.covered() == [Covered(1, 1, 0, 2)], "counting goes on after it"
    assert store.acknowledge_lost() == 1
    assert store.lost() == []
    assert store.acknowledge_lost() == 0


def test_frontiers_never_go_back(store: FrontierStore, topic: LogTopic) -> None:
    store.add_generation(generation(topic), [0, 0])
    store.record_lost(Covered(1, 0, 0, 5))
    store.record_lost(Covered(1, 0, 8, 9))
    store.advance({(1, 0): 5})
    store.advance({(1, 0): 3})
    assert store.frontiers() == {(1, 0): 5, (1, 1): 0}
    assert store.covered() == [Covered(1, 0, 8, 9)], "what is behind the frontier is forgotten, no more"


def test_a_topic_nobody_recorded_is_not_taken_by_itself(system: System, store: FrontierStore, kafka: Topics) -> None:
    """The topic `votes` may hold another database's votes."""
    log.write(system.settings.kafka_broker, b"somebody's")
    with pytest.raises(log_admin.LogAdminError, match="`polling topics adopt votes` takes it"):
        log_admin.create(system.settings, store, kafka)
    assert store.generations() == []


def test_adopting(store: FrontierStore, kafka: Topics, topic: LogTopic, admin: AdminClient) -> None:
    first = log_admin.adopt(store, kafka, topic.topic)
    assert first == generation(topic)
    with pytest.raises(log_admin.LogAdminError, match="generation 1 already"):
        log_admin.adopt(store, kafka, topic.topic)
    store.record_lost(Covered(1, 1, 0, 2))
    store.advance({(1, 1): 2})
    admin.create_partitions([NewPartitions(topic.topic, 3)])[topic.topic].result(30)
    until(lambda: kafka.describe(topic.topic).partitions == 3, "the topic has grown")
    second = log_admin.adopt(store, kafka, topic.topic)
    assert (second.number, second.partitions) == (2, 3)
    assert [one.number for one in store.generations()] == [2], "the older one is retired"
    assert store.frontiers() == {(2, 0): 0, (2, 1): 2, (2, 2): 0}, "counting goes on where it stood"
    assert inspect(kafka, store.generations(), store.frontiers()).complaints == ()
