"""Celery over Kafka: topics. Created explicitly, measured and emptied; never dropped by a worker."""

# confluent_kafka's OffsetSpec is not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from . import handles
from .config import Options
from .errors import TopicError
from .publisher import Publisher

logger = logging.getLogger(__name__)

_FORBIDDEN = re.compile(r"[^a-zA-Z0-9._-]")
#: Seconds an administrative request may take.
_PATIENCE = 10.0


class PartitionLag(NamedTuple):
    """Where a queue stands in one partition: records from `done` up to `end` are not finished."""

    partition: int
    done: int
    end: int

    @property
    def lag(self) -> int:
        """How many records are not finished."""
        return self.end - self.done


class Topics:
    """The topics of one set of options, as this process knows them."""

    def __init__(self, options: Options, publisher: Publisher) -> None:
        self.options = options
        self.publisher = publisher
        self._partitions: dict[str, int] = {}

    def name(self, queue: str) -> str:
        """The topic of a queue or exchange."""
        return _FORBIDDEN.sub("_", f"{self.options.topic_prefix}{queue}")[:249]

    def task(self, queue: str) -> tuple[str, int]:
        """(topic, partitions) of a task queue, created where it is missing."""
        topic = self.name(queue)
        if not self._knows(topic):
            self._create(topic, *self.options.task_topic(queue))
        return topic, self._partitions[topic]

    def broadcast(self, exchange: str) -> str:
        """The topic of a broadcast exchange, created where it is missing."""
        topic = self.name(exchange)
        if not self._knows(topic):
            self._create(topic, *self.options.broadcast_topic())
        return topic

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has, asked where this process does not know; at least 1."""
        if not self._knows(topic):
            self._partitions[topic] = max(1, self._count(topic))
        return self._partitions[topic]

    def exists(self, queue: str) -> bool:
        """Whether the queue's topic is there."""
        return self._count(self.name(queue)) > 0

    def _knows(self, topic: str) -> bool:
        """Not where a message found it gone: it may have been deleted, or Kafka may have lost it, and is looked for."""
        if topic in self.publisher.gone:
            self.publisher.gone.discard(topic)
            self._partitions.pop(topic, None)
        return topic in self._partitions

    def _count(self, topic: str) -> int:
        """How many partitions the topic has; 0 where there is none."""
        topics = self.publisher.metadata(self.options.connect_timeout).topics
        return len(topics[topic].partitions) if topic in topics else 0

    def _create(self, topic: str, partitions: int, config: dict[str, str]) -> None:
        there = self._count(topic)
        if not there:
            new = NewTopic(topic, partitions, self.options.replication_factor, config=config)
            future = self._admin.create_topics([new], operation_timeout=_PATIENCE)[topic]
            with _asking(f"create topic {topic}"):
                try:
                    future.result(_PATIENCE)
                except KafkaException as error:
                    # Another process was faster, or a broker that has just come back did not know it yet.
                    if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                        raise
            there = self._count(topic) or partitions
        self._partitions[topic] = there

    @property
    def _admin(self) -> AdminClient:
        config = self.options.client()
        return handles.shared(("admin", repr(config)), lambda: handles.keep(AdminClient(config)))

    def end(self, topic: str) -> int:
        """The end offset of a broadcast topic (its partition 0), as of now."""
        place = TopicPartition(topic, 0)
        return self._offsets([place], OffsetSpec.latest())[0]

    def _offsets(self, places: list[TopicPartition], which: Any) -> dict[int, int]:
        with _asking("read offsets"):
            try:
                return self._ask_offsets(places, which)
            except KafkaException as error:
                if error.args[0].code() != KafkaError._NOENT:
                    raise
            # A client that asked for a topic too early believes for many minutes that it is not there, if it knew
            # another one before (librdkafka 2.16: the other's expiry comes first). To list them all corrects that.
            self._admin.list_topics(timeout=_PATIENCE)
            try:
                return self._ask_offsets(places, which)
            except KafkaException:
                # Kafka may have lost it with all its data: whoever needs it next has to make it anew.
                self.publisher.gone.update(place.topic for place in places)
                raise

    def _ask_offsets(self, places: list[TopicPartition], which: Any) -> dict[int, int]:
        found = self._admin.list_offsets({place: which for place in places}, request_timeout=_PATIENCE)
        offsets = {place.partition: future.result(_PATIENCE).offset for place, future in found.items()}
        if min(offsets.values(), default=0) < 0:
            # No error, but no offset either, while a partition's leader is dead and has no successor yet.
            raise KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE))
        return offsets

    def lag(self, queue: str) -> list[PartitionLag]:
        """How far the workers are behind, a row for each partition; none where the queue has no topic."""
        topic = self.name(queue)
        places = [TopicPartition(topic, number) for number in range(self._count(topic))]
        if not places:
            return []
        ends = self._offsets(places, OffsetSpec.latest())
        starts = self._offsets(places, OffsetSpec.earliest())
        asked = ConsumerGroupTopicPartitions(self.options.group_id, places)
        with _asking(f"read the offsets of group {self.options.group_id}"):
            [future] = self._admin.list_consumer_group_offsets([asked]).values()
            committed = {place.partition: place.offset for place in future.result(_PATIENCE).topic_partitions}
        return [PartitionLag(p, max(committed.get(p, -1), starts[p]), ends[p]) for p in sorted(ends)]

    def delete_before(self, places: list[TopicPartition]) -> None:
        """Ask Kafka to delete the records before these offsets; what goes wrong is logged. Does not wait."""
        for place, future in self._admin.delete_records(places, request_timeout=_PATIENCE).items():
            future.add_done_callback(partial(_log_trimming, place))

    def purge(self, queue: str) -> int:
        """Delete all records up to now; returns how many were not finished. Delivered ones go on running."""
        rows = self.lag(queue)
        topic = self.name(queue)
        places = [TopicPartition(topic, row.partition, row.end) for row in rows if row.lag]
        with _asking(f"empty topic {topic}"):
            for future in (self._admin.delete_records(places) if places else {}).values():
                future.result(_PATIENCE)
        return sum(row.lag for row in rows)


@contextmanager
def _asking(what: str) -> Iterator[None]:
    """What Kafka refuses, or does not answer in time, becomes a TopicError."""
    try:
        yield
    except (KafkaException, TimeoutError) as error:
        raise TopicError(f"can't {what}: {error or 'no answer'}") from error


def _log_trimming(place: TopicPartition, future: Future[Any]) -> None:
    error = future.exception()
    if error is not None:
        logger.warning("finished records of %s[%d] not deleted: %s", place.topic, place.partition, error)
