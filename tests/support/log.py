"""Tests: another program at the vote log: it writes and reads records as the contract says."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

PATIENCE = 30.0


def write(
    broker: str,
    *values: bytes | dict[str, Any],
    key: bytes | str | None = None,
    topic: str = "votes",
    partition: int = -1,
    headers: dict[str, str] | None = None,
) -> list[Message]:
    """Writes records, returns them as Kafka acknowledged them."""
    written: list[Message] = []
    failed: list[str] = []

    def delivered(error: object, message: Message) -> None:
        if error is not None:
            failed.append(str(error))
        written.append(message)

    producer = Producer(
        {
            "bootstrap.servers": broker,
            "acks": "all",
            "partitioner": "murmur2_random",
            "message.timeout.ms": int(PATIENCE * 1000),
        }
    )
    for value in values:
        record = json.dumps(value).encode() if isinstance(value, dict) else value
        producer.produce(topic, record, key=key, partition=partition, headers=headers, on_delivery=delivered)
    assert producer.flush(PATIENCE) == 0, "Kafka did not acknowledge"
    assert not failed, failed
    return written


@contextmanager
def _consumer(broker: str) -> Iterator[Consumer]:
    consumer = Consumer(
        {"bootstrap.servers": broker, "group.id": "outsider", "enable.auto.commit": False, "enable.partition.eof": True}
    )
    try:
        yield consumer
    finally:
        consumer.close()


def read(broker: str, topic: str, wanted: Callable[[Message], bool]) -> Message:
    """The first record of a topic, from its start, for which the condition holds; waits for it to be written."""
    deadline = time.monotonic() + PATIENCE
    with _consumer(broker) as consumer:
        partitions = consumer.list_topics(topic, PATIENCE).topics[topic].partitions
        consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        while time.monotonic() < deadline:
            message = consumer.poll(0.2)
            if message is not None and message.error() is None and wanted(message):
                return message
    raise AssertionError(f"no such record in {topic}")


def read_all(broker: str, topic: str) -> Iterator[Message]:
    """All records that a topic has now, each partition's in order."""
    deadline = time.monotonic() + PATIENCE
    with _consumer(broker) as consumer:
        left = set(consumer.list_topics(topic, PATIENCE).topics[topic].partitions)
        consumer.assign([TopicPartition(topic, partition, 0) for partition in left])
        while left:
            assert time.monotonic() < deadline, f"{topic} could not be read to its end"
            message = consumer.poll(0.2)
            if message is None:
                continue
            if message.error() is None:
                yield message
            elif message.error().code() == KafkaError._PARTITION_EOF:
                left.discard(message.partition())


def fields(message: Message) -> Any:
    """The JSON that a record holds."""
    value = message.value()
    assert isinstance(value, bytes)
    return json.loads(value)


def partition_of(key: bytes, partitions: int) -> int:
    """Where the Java client, and librdkafka's `murmur2_random`, put a record with this key."""
    mask = 0xFFFFFFFF
    seed, m, r = 0x9747B28C, 0x5BD1E995, 24
    h = seed ^ len(key)
    whole = len(key) - len(key) % 4
    for start in range(0, whole, 4):
        k = int.from_bytes(key[start : start + 4], "little") * m & mask
        k ^= k >> r
        h = (h * m & mask) ^ (k * m & mask)
    if rest := key[whole:]:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h ^= h >> 13
    h = h * m & mask
    h ^= h >> 15
    return (h & 0x7FFFFFFF) % partitions
