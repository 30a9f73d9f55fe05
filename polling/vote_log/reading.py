"""Step 2 of 7, log: reads ranges of a topic from one end to the other, for whoever wants to see what is in it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from polling.core.votes import Slice
from polling.vote_log.config import consumer_config

READER_GROUP = "polling-reader"
"""A name only: nothing is committed in it, and nobody joins it."""

_AT_ONCE = 10_000
_PATIENCE = 30.0
"""Seconds without a record after which Kafka counts as away."""


class RecordsGone(Exception):
    """The log has no longer what was to be read."""


def reader_config(broker: str) -> dict[str, Any]:
    """For reading as fast as it goes, with some 64 MB in hand."""
    return {
        **consumer_config(broker),
        "group.id": READER_GROUP,
        "queued.max.messages.kbytes": 65_536,
        "queued.min.messages": 200_000,
        "fetch.queue.backoff.ms": 10,  # the default is a second in which nothing is fetched once that is in hand
    }


class LogReader:
    """One consumer, outside of any group. Raises `KafkaException` where Kafka does not answer."""

    def __init__(self, broker: str) -> None:
        self._consumer = Consumer(reader_config(broker))

    def close(self) -> None:
        self._consumer.close()

    def read(self, topic: str, ranges: Mapping[int, tuple[int, int]]) -> Iterator[tuple[int, list[Message]]]:
        """(partition, records) again and again, a partition's in order, until each was read from the first to before
        the second of its two offsets. They must have been written.

        Raises:
            RecordsGone: they were deleted.
        """
        left = {partition: after for partition, (first, after) in ranges.items() if first < after}
        if left:
            self._consumer.list_topics(topic, _PATIENCE)  # it begins a second sooner where it knows the leaders
            self._consumer.assign([TopicPartition(topic, partition, ranges[partition][0]) for partition in left])
        while left:
            first = self._consumer.poll(_PATIENCE)
            if first is None:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
            heard = [first, *self._consumer.consume(_AT_ONCE, 0)]
            for partition, run in itertools.groupby(heard, key=Message.partition):
                if partition not in left:
                    continue
                found, position = _judge(list(run))
                if position > left[partition]:
                    found = [message for message in found if (message.offset() or 0) < left[partition]]
                if found:
                    yield partition, found
                if position >= left[partition]:
                    del left[partition]
        self._consumer.unassign()


def as_slice(generation: int, partition: int, messages: list[Message]) -> Slice:
    """These records, as counting takes them; at least one."""
    offsets = list(map(Message.offset, messages))
    times = [time for _, time in map(Message.timestamp, messages)]
    values = [value or b"" for value in map(Message.value, messages)]
    return Slice(generation, partition, offsets[0], offsets[-1] + 1, offsets, times, values)


def _judge(run: list[Message]) -> tuple[list[Message], int]:
    """The records among these of one partition, and up to where it is read now: it may have gaps, also at its end."""
    position = run[-1].offset() + (run[-1].error() is None)
    if not any(map(Message.error, run)):
        return run, position
    for error in filter(None, map(Message.error, run)):
        if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            raise RecordsGone(f"{run[0].topic()}, partition {run[0].partition()}")
        if error.fatal():
            raise KafkaException(error)
    return [message for message in run if message.error() is None], position
