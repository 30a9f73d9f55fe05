"""Chaos: reads the evidence, each server asked directly and not by way of the product."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
import psycopg
import redis
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from chaos.evidence import Cast, Evidence, Facts, Stored, Tally
from chaos.history import Pair

Connection = psycopg.Connection[tuple[Any, ...]]

QUIET: dict[str, str | int | bool] = {
    "log_level": 2,
    "reconnect.backoff.ms": 250,
    "reconnect.backoff.max.ms": 1000,
}
"""librdkafka would say forty times a second that a broker is away, which is the point of the run."""

PATIENCE = 60.0
"""Seconds of silence after which a log that does not come to its end is an error."""


class _Vote(msgspec.Struct):
    poll: str
    ballot: str
    option: str


_decode = msgspec.json.Decoder(_Vote).decode


def records(broker: str, topic: str) -> Iterator[Message]:
    """All records of a topic, from its start to its end of now."""
    consumer = Consumer(
        {
            "bootstrap.servers": broker,
            "group.id": "chaos",
            "enable.partition.eof": True,
            "enable.auto.commit": False,
            **QUIET,
        },
    )
    try:
        known = consumer.list_topics(topic, 30).topics[topic].partitions
        consumer.assign([TopicPartition(topic, partition, 0) for partition in known])
        open_partitions = set(known)
        deadline = time.monotonic() + PATIENCE
        while open_partitions:
            for message in consumer.consume(10_000, 0.5):
                error = message.error()
                deadline = time.monotonic() + PATIENCE
                if error is None:
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    open_partitions.discard(message.partition() or 0)
                else:
                    raise RuntimeError(f"{topic}: {error}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"{topic} was not read to its end")
    finally:
        consumer.close()


def read_log(broker: str, generations: dict[int, str], found: Evidence) -> int:
    """Puts every vote that can be read into the evidence; answers how many records there are."""
    number = 0
    for generation, topic in generations.items():
        for message in records(broker, topic):
            number += 1
            value = message.value()
            if value in found.poison:
                continue
            vote = _decode(value or b"")
            pair: Pair = (vote.poll, bytes.fromhex(vote.ballot))
            position = (generation << 56) | ((message.partition() or 0) << 42) | (message.offset() or 0)
            found.log.setdefault(pair, []).append(Cast(position, int(vote.option), message.timestamp()[1] * 1000))
    return number


def read_dead(broker: str) -> Counter[bytes]:
    """What is in `votes.dead`, and how often."""
    return Counter(message.value() or b"" for message in records(broker, "votes.dead"))


def generations(connection: Connection) -> dict[int, str]:
    """The topics of the vote log."""
    return dict(connection.execute("SELECT number, topic FROM generations ORDER BY number").fetchall())


def read_database(connection: Connection, found: Evidence) -> None:
    """Polls, ballots, rejections and tallies, from one snapshot."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        ids: dict[int, str] = {}
        for row in connection.execute(
            "SELECT id, number, cardinality(options), one_vote_per, allow_change, closes_at, ends,"
            " deleted_at IS NOT NULL, final, listed FROM polls"
        ):
            poll_id, number, options, per, change, closes_at, ends, deleted, final, listed = row
            ids[number] = poll_id
            found.polls[poll_id] = Facts(
                poll_id, number, options, per, change, _microseconds(closes_at), ends and tuple(ends), deleted, final,
                listed,
            )  # fmt: skip
        read_tallies(connection, found)
        with connection.cursor("ballots") as cursor:
            for number, ballot, option, rank in cursor.execute("SELECT poll, ballot, option, rank FROM ballots"):
                pair = (ids[number], ballot.bytes)
                if pair in found.rows:
                    found.row_numbers[pair] = found.row_numbers.get(pair, 1) + 1
                found.rows[pair] = Stored(option, rank)
        with connection.cursor("rejections") as cursor:
            for number, ballot, option, reason in cursor.execute("SELECT poll, ballot, option, reason FROM rejections"):
                found.rejected.setdefault((ids[number], ballot.bytes), set()).add((option, reason))


def read_tallies(connection: Connection, found: Evidence) -> None:
    """The tallies alone."""
    question = "SELECT id, counts, total, t.revision FROM tallies t JOIN polls ON number = poll"
    for poll_id, counts, total, revision in connection.execute(question):
        found.tallies[poll_id] = Tally(tuple(counts), total, revision)


def read_leaderboard(url: str) -> list[tuple[str, int, int]] | None:
    """(poll, option, votes) of each entry in Redis."""
    with redis.Redis.from_url(url) as client:
        entries: Any = client.zrange("polling:leaderboard:top", 0, -1)
        if not client.exists("polling:leaderboard:updated_at"):
            return None
    decoded = [msgspec.json.decode(entry) for entry in entries]
    return [(one["poll_id"], int(one["option"]["id"]), one["votes"]) for one in decoded]


def lag(connection: Connection, broker: str, patience: float = 10) -> int:
    """Records that no frontier has passed."""
    rows = connection.execute(
        "SELECT g.topic, f.partition, f.next FROM frontiers f JOIN generations g ON g.number = f.generation"
        " WHERE g.retired_at IS NULL"
    ).fetchall()
    consumer = Consumer({"bootstrap.servers": broker, "group.id": "chaos", **QUIET})
    try:
        return sum(
            max(0, consumer.get_watermark_offsets(TopicPartition(topic, partition), patience)[1] - after)
            for topic, partition, after in rows
        )
    finally:
        consumer.close()


def _microseconds(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1_000_000)
