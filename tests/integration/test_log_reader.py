"""The integration tests: the consumer of the vote log, when what it shall read changes."""

from __future__ import annotations

import uuid

import pytest
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


def test_what_is_read_may_change_in_the_middle_of_a_rebalance(
    kafka_broker: str, generations: list[Generation], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka has shared out the partitions, and the reader is told so only after it was sent to another topic."""
    group = f"readers-{uuid.uuid4().hex[:8]}"
    settings = {"group.id": group}
    monkeypatch.setattr("bridge.reader.consumer_config", lambda broker, instance: consumer_config(broker) | settings)
    admin = AdminClient({"bootstrap.servers": kafka_broker})
    first, second = generations
    gatherer = Gatherer()
    reader = Reader(kafka_broker, None, gatherer, dict)

    def is_shared_out() -> bool:
        members = admin.describe_consumer_groups([group])[group].result(10).members
        return any(member.assignment.topic_partitions for member in members)

    try:
        reader.subscribe({first.topic: first})
        until(is_shared_out, "the first topic is shared out")
        reader.subscribe({second.topic: second})
        until(lambda: reader.read(0.1, 1) and gatherer.records == 1, "the record of the second topic is read")
        assert set(gatherer.handed) == {(2, 0), (2, 1)}
        reader.subscribe({})
        assert not gatherer.handed
    finally:
        reader.close()
