"""Step 2 of 7, log: makes topics, and says what Kafka itself calls them, so that a new one under an old name shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import NamedTuple, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ListOffsetsResultInfo, NewTopic, OffsetSpec

from polling.vote_log.config import LATER_TOPIC, VOTES_TOPIC, topic_config

A = TypeVar("A")

_TIMEOUT = 10.0


class TopicMissing(Exception):
    """Kafka has no topic of this name."""


class LogTopic(NamedTuple):
    """A topic as Kafka describes it."""

    topic: str
    cluster_id: str
    topic_id: str
    partitions: int


class Topics:
    """Kafka's own view of the vote log. Blocking calls, each within seconds.

    Every method raises `confluent_kafka.KafkaException` where Kafka does not answer.
    """

    def __init__(self, broker: str) -> None:
        self._config = {"bootstrap.servers": broker, "log_level": 2, "reconnect.backoff.max.ms": 1000}
        self._admin = AdminClient(self._config)

    def create(self, topic: str, partitions: int, replication: int, min_insync: int) -> bool:
        """Makes a topic for votes. False where it is there already."""
        new = NewTopic(
            topic, num_partitions=partitions, replication_factor=replication, config=topic_config(min_insync)
        )
        try:
            _answer(self._admin.create_topics([new], operation_timeout=_TIMEOUT)[topic])
        except KafkaException as error:
            if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
                return False
            raise
        return True

    def describe(self, topic: str) -> LogTopic:
        """What a topic is.

        Raises:
            TopicMissing: Kafka has none of this name.
        """
        future = self._admin.describe_topics(TopicCollection([topic]), request_timeout=_TIMEOUT)[topic]
        try:
            found = _answer(future)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise TopicMissing(topic) from error
            if error.args[0].code() == KafkaError._TIMED_OUT:
                # One that waited for the controller while the broker was away may do so for minutes after it is back.
                self._admin = AdminClient(self._config)
            raise
        cluster = _answer(self._admin.describe_cluster(request_timeout=_TIMEOUT))
        return LogTopic(topic, str(cluster.cluster_id), str(found.topic_id), len(found.partitions))

    def has(self, known: LogTopic, *, grown: bool = True) -> bool:
        """Whether Kafka has this very topic, not another one under its name. It may have more partitions by now, where
        it may have `grown`."""
        try:
            found = self.describe(known.topic)
        except TopicMissing:
            return False
        return found == known or (grown and found[:3] == known[:3])

    def vote_topics(self) -> set[str]:
        """The topics that are named like generations of the vote log."""
        names = self._admin.list_topics(timeout=_TIMEOUT).topics
        return {name for name in names if name == VOTES_TOPIC or LATER_TOPIC.fullmatch(name)}

    def ends(self, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """The offset after the newest record of each partition."""
        return self._offsets(topic, partitions, OffsetSpec.latest())

    def starts(self, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """The offset of the oldest record that each partition still has."""
        return self._offsets(topic, partitions, OffsetSpec.earliest())

    def newest_times(self, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """When the newest record of each partition was written, in milliseconds since 1970; -1 where there is none."""
        wanted = {TopicPartition(topic, partition): OffsetSpec.max_timestamp() for partition in partitions}
        return {where.partition: found.timestamp for where, found in self._ask(wanted).items()}

    def first_since(self, topic: str, partitions: Iterable[int], time: int) -> dict[int, int]:
        """The offset of the first record of each partition that was written at this time (milliseconds since 1970) or
        after it; -1 where there is none."""
        return self._offsets(topic, partitions, OffsetSpec.for_timestamp(time))

    def delete_before(self, topic: str, offsets: Mapping[int, int]) -> None:
        """Deletes the records of each partition that lie before its offset, for good."""
        wanted = [TopicPartition(topic, partition, offset) for partition, offset in offsets.items()]
        for future in self._admin.delete_records(wanted, request_timeout=_TIMEOUT).values():
            _answer(future)

    def _offsets(self, topic: str, partitions: Iterable[int], spec: OffsetSpec) -> dict[int, int]:
        found = self._ask({TopicPartition(topic, partition): spec for partition in partitions})
        return {where.partition: one.offset for where, one in found.items()}

    def _ask(self, wanted: dict[TopicPartition, OffsetSpec]) -> dict[TopicPartition, ListOffsetsResultInfo]:
        try:
            return self._ask_once(wanted)
        except KafkaException as error:
            if error.args[0].code() != KafkaError._NOENT:
                raise
        # A client that asked for a topic too early believes for many minutes that it is not there, if it knew
        # another one before (librdkafka 2.16: the other's expiry comes first). To list them all corrects that.
        self._admin.list_topics(timeout=_TIMEOUT)
        return self._ask_once(wanted)

    def _ask_once(self, wanted: dict[TopicPartition, OffsetSpec]) -> dict[TopicPartition, ListOffsetsResultInfo]:
        futures = self._admin.list_offsets(wanted, request_timeout=_TIMEOUT)
        return {where: _answer(future) for where, future in futures.items()}


def _answer(future: Future[A]) -> A:
    """What Kafka answered. Its client gives up by itself, but not always in time: that is no answer as well."""
    try:
        return future.result(_TIMEOUT + 1)
    except TimeoutError as error:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from error
