"""The integration tests: the consumer of the vote log, when what it shall read changes."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from support import log
from support.waiting import until

from bridge.gathering import Gatherer
from bridge.reader import Reader
from polling.store.rows import Generation
from polling.vote_log import Topics, consumer_config


@pytest.fixture
def generations(kafka_broker: str) -> list[Generation]:
    """Two topics of two partitions, each with one record."""
    kafka, run = Topics(kafka_broker), uuid.uuid4().hex[:8]
    for number in (1, 2):
        kafka.create(f"log-{run}.{number}", 2, 1, 1)
        log.write(kafka_broker, b"a vote", topic=f"log-{run}.{number}", partition=0)
    return [Generation(number, *kafka.describe(f"log-{run}.{number}")) for number in (1, 2)]


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> str:
    """A group of its own, apart from that of the bridges that run."""
    name = f"readers-{uuid.uuid4().hex[:8]}"
    settings = {"group.id": name}
    monkeypatch.setattr("bridge.reader.consumer_config", lambda *about: consumer_config(*about) | settings)
    return name


@contextmanager
def reading(broker: str, instance: str | None) -> Iterator[tuple[Reader, Gatherer]]:
    gatherer = Gatherer()
    reader = Reader(broker, instance, gatherer, dict)
    try:
        yield reader, gatherer
    finally:
        reader.close()


def until_read(reader: Reader, gatherer: Gatherer, generations: list[Generation]) -> None:
    """Waits until the record of each of these was read, and holds that nothing else was."""
    until(lambda: reader.read(0.1, 1) and gatherer.records == len(generations), f"{len(generations)} records are read")
    assert set(gatherer.handed) == {(one.number, partition) for one in generations for partition in (0, 1)}


@pytest.mark.parametrize("instance", [None, "a-name"])
def test_what_is_read_may_change_in_the_middle_of_a_rebalance(
    kafka_broker: str, generations: list[Generation], group: str, instance: str | None
) -> None:
    """Kafka has shared out the partitions, and the reader is told so only after it was sent to another topic."""
    admin = AdminClient({"bootstrap.servers": kafka_broker})
    first, second = generations

    def is_shared_out() -> bool:
        members = admin.describe_consumer_groups([group])[group].result(10).members
        return any(member.assignment.topic_partitions for member in members)

    with reading(kafka_broker, instance) as (reader, gatherer):
        reader.subscribe({first.topic: first})
        until(is_shared_out, "the first topic is shared out")
        reader.subscribe({second.topic: second})
        until_read(reader, gatherer, [second])


def test_what_is_read_may_end_in_the_middle_of_a_rebalance(
    kafka_broker: str, generations: list[Generation], group: str
) -> None:
    first, second = generations
    with reading(kafka_broker, "a-name") as (reader, gatherer):
        reader.subscribe({first.topic: first})
        reader.read(0.1, 1)
        reader.subscribe({})
        assert not gatherer.handed
        assert reader.read(0.01, 1) == 0
        reader.subscribe({second.topic: second})
        until_read(reader, gatherer, [second])


def test_a_named_reader_that_comes_back_reads_what_was_added_meanwhile(
    kafka_broker: str, generations: list[Generation], group: str
) -> None:
    """Kafka gives a member that it knows by name what that had, and does not look at what it asks for now."""
    first, _second = generations
    with reading(kafka_broker, "a-name") as (reader, gatherer):
        reader.subscribe({first.topic: first})
        until_read(reader, gatherer, [first])
    with reading(kafka_broker, "a-name") as (reader, gatherer):
        reader.subscribe({one.topic: one for one in generations})
        until_read(reader, gatherer, generations)


def test_a_topic_that_is_counted_anew_is_read_anew(
    kafka_broker: str, generations: list[Generation], group: str
) -> None:
    first, _second = generations
    adopted = first._replace(number=7)
    with reading(kafka_broker, "a-name") as (reader, gatherer):
        reader.subscribe({first.topic: first})
        until_read(reader, gatherer, [first])
        reader.subscribe({adopted.topic: adopted})
        until_read(reader, gatherer, [adopted])


@pytest.mark.parametrize("between", [0, 1])
def test_partitions_that_go_and_come_within_one_read_are_read_again(
    kafka_broker: str, generations: list[Generation], group: str, between: int
) -> None:
    """What that read holds may be from before, and come after what was set back; with a read between there is none."""
    first, _second = generations
    with reading(kafka_broker, None) as (reader, gatherer):
        reader.subscribe({first.topic: first})
        until_read(reader, gatherer, [first])
        consumer, where = reader._consumer, [TopicPartition(first.topic, 0)]
        assert consumer is not None
        reader._on_revoke(consumer, where)
        consumer.incremental_unassign(where)
        for _ in range(between):
            reader.read(0.01, 1)
        reader._on_assign(consumer, where)
        assert reader.out_of_range is (between == 0)
