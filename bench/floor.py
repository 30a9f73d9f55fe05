"""Measuring: the limit of accept to counted: one vote after the other through Kafka and the counting statement.

No bridge, no Celery, no other vote on the way: the vote is acknowledged, a bare consumer has it, one statement counts
it, and a listener hears the notification.
"""

from __future__ import annotations

import time

import psycopg
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from bench.system import BenchError, System
from polling.core import ballots, positions
from polling.core.votes import COUNTED_CHANNEL, Covered
from polling.store import arrays
from polling.store.counting import Casts, CountingConnection
from polling.store.recounting import polls
from polling.vote_log import VOTES_TOPIC, consumer_config, producer_config

VOTES = 200
_LIMIT = 10.0
_GENERATION = 126
"""One that no log has, so that these ranges are nobody's."""


def hear_one_by_one(system: System, poll_id: str) -> list[float]:
    """Seconds from acknowledged to heard, of each vote. Bridge and worker must not run."""
    broker = system.settings.kafka_broker
    producer = Producer(producer_config(broker))
    consumer = Consumer({**consumer_config(broker), "group.id": "bench", "enable.partition.eof": False})
    counting = CountingConnection(system.settings.database_url)
    try:
        with system.connect() as connection:
            number = next(polls(connection, poll_id))[0]
            connection.execute(f"LISTEN {COUNTED_CHANNEL}")
            counting.count(Casts(), [number], [], False)
            for _ in connection.notifies(timeout=_LIMIT, stop_after=1):
                pass
            assigned = False
            delays = []
            for _ in range(VOTES + 1):
                partition, offset, ballot, acknowledged = _acknowledge(producer, poll_id)
                if not assigned:
                    consumer.assign([TopicPartition(VOTES_TOPIC, partition, offset)])
                    assigned = True
                at = _consume(consumer)
                counting.count(
                    _cast(number, offset, ballot, at), [number], [Covered(_GENERATION, 0, offset, offset + 1)], False
                )
                delays.append(_heard(connection) - acknowledged)
            return delays[1:]
    finally:
        consumer.close()
        counting.close()


def _acknowledge(producer: Producer, poll_id: str) -> tuple[int, int, bytes, float]:
    """(partition, offset, ballot, when) of a vote that Kafka acknowledged. Always the same partition."""
    done: list[tuple[int, int, float]] = []

    def delivered(error: KafkaError | None, message: object) -> None:
        if error is not None:
            raise BenchError(f"Kafka did not take a vote: {error}")
        done.append((message.partition(), message.offset(), time.monotonic()))  # type: ignore[attr-defined]

    ballot = ballots.fresh()
    value = b'{"poll":"%b","ballot":"%b","option":"1"}' % (poll_id.encode(), ballot.hex().encode())
    producer.produce(VOTES_TOPIC, value, ballot, partition=0, on_delivery=delivered)
    deadline = time.monotonic() + _LIMIT
    while not done:
        producer.poll(0.1)
        if time.monotonic() > deadline:
            raise BenchError("Kafka does not acknowledge")
    return done[0][0], done[0][1], ballot, done[0][2]


def _consume(consumer: Consumer) -> int:
    """The record's time in the log, once it is here."""
    deadline = time.monotonic() + _LIMIT
    while time.monotonic() < deadline:
        message = consumer.poll(0.1)
        if message is not None and message.error() is None:
            return int(message.timestamp()[1])
    raise BenchError("Kafka does not hand out a vote")


def _cast(number: int, offset: int, ballot: bytes, at: int) -> Casts:
    return Casts(
        [arrays.int8(number)],
        [arrays.uuid(ballot)],
        [arrays.int2(1)],
        [arrays.int8(positions.base(_GENERATION, 0) | offset)],
        [arrays.timestamptz(at)],
    )


def _heard(connection: psycopg.Connection[tuple[object, ...]]) -> float:
    for _ in connection.notifies(timeout=_LIMIT, stop_after=1):
        return time.monotonic()
    raise BenchError("no notification came")
