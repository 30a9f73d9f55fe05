"""Step 2 of 7, log: looks into `votes.dead`, and sends records of it to the vote log once more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec
from confluent_kafka import KafkaException, Message, Producer

from polling.core.votes import VoteRecord, read_vote
from polling.vote_log.config import DEAD_TOPIC, producer_config
from polling.vote_log.reading import LogReader
from polling.vote_log.topics import Topics

MENDABLE = ("poll", "ballot", "option")

_TIMEOUT = 30.0


class NotMended(Exception):
    """The record is no vote, even with what it was mended by; the text says why."""


class NotAcknowledged(Exception):
    """Kafka did not acknowledge all records. To send them again does no harm: a ballot counts once."""


class DeadRecord(NamedTuple):
    """A record of `votes.dead`. `reason` and where it came from are as the worker wrote them; "" where they are not."""

    partition: int
    offset: int
    time: int
    reason: str
    topic: str
    source: str
    value: bytes

    @property
    def place(self) -> str:
        """How the commands call it."""
        return f"{self.partition}:{self.offset}"


def read_dead(topics: Topics, reader: LogReader, wanted: Mapping[int, set[int]] | None = None) -> Iterator[DeadRecord]:
    """All records of `votes.dead`, or those at these offsets, as far as they exist; each partition's in order.

    Raises:
        TopicMissing: Kafka has no such topic.
        KafkaException: it does not answer.
    """
    partitions = range(topics.describe(DEAD_TOPIC).partitions)
    starts, ends = topics.starts(DEAD_TOPIC, partitions), topics.ends(DEAD_TOPIC, partitions)
    ranges = {}
    for partition in partitions:
        first, after = starts[partition], ends[partition]
        if wanted is not None:
            offsets = wanted.get(partition, set())
            first, after = max(first, min(offsets, default=after)), min(after, max(offsets, default=first - 1) + 1)
        ranges[partition] = (first, after)
    for partition, messages in reader.read(DEAD_TOPIC, ranges):
        for message in messages:
            if wanted is None or message.offset() in wanted[partition]:
                yield _as_dead(message)


def mend(value: bytes, changes: Mapping[str, str]) -> tuple[bytes, VoteRecord, bytes]:
    """The record with these fields in place of its own, the vote that it is then, and its ballot's 16 bytes.

    Raises:
        NotMended: it is no vote.
    """
    mended = value
    if changes:
        try:
            fields = msgspec.json.decode(value)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise NotMended(f"it is no JSON: {error}") from error
        if not isinstance(fields, dict):
            raise NotMended("it is no JSON object")
        mended = msgspec.json.encode({**fields, **changes})
    found = read_vote(mended)
    if found is None:
        raise NotMended("it is no vote: it needs a poll, a ballot of 32 hex digits, an option, all of them texts")
    return mended, *found


def send(broker: str, topic: str, records: list[tuple[bytes, bytes]]) -> None:
    """Writes (ballot, value) pairs to the vote log; returns once every replica in sync has all of them.

    Raises:
        NotAcknowledged: Kafka did not say so in time.
    """
    failed: list[str] = []

    def delivered(error: object, _message: object) -> None:
        if error is not None:
            failed.append(str(error))

    producer = Producer(producer_config(broker))
    for ballot, value in records:
        try:
            producer.produce(topic, value, ballot, on_delivery=delivered)
        except (BufferError, KafkaException) as error:
            failed.append(str(error))
        producer.poll(0)
    left = producer.flush(_TIMEOUT)
    if left or failed:
        raise NotAcknowledged(f"{left + len(failed)} of {len(records)}: {failed[0] if failed else 'no answer in time'}")


def _as_dead(message: Message) -> DeadRecord:
    headers = {name: (value or b"").decode(errors="replace") for name, value in message.headers() or ()}
    return DeadRecord(
        message.partition(),
        message.offset(),
        message.timestamp()[1],
        headers.get("reason", ""),
        headers.get("topic", ""),
        f"{headers.get('partition', '')}:{headers.get('offset', '')}",
        message.value() or b"",
    )
