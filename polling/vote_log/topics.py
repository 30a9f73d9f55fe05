"""Step 2 of 7, log: makes topics, and says what Kafka itself calls them, so that a new one under an old name shows."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from typing import NamedTuple, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from polling.vote_log.config import admin_config, topic_config

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
        self._admin = AdminClient(admin_config(broker))

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
            raise
        cluster = _answer(self._admin.describe_cluster(request_timeout=_TIMEOUT))
        return LogTopic(topic, str(cluster.cluster_id), str(found.topic_id), len(found.partitions))

    def ends(self, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """The offset after the newest record of each partition."""
        return self._offsets(topic, partitions, OffsetSpec.latest())

    def starts(self, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """The offset of the oldest record that each partition still has."""
        return self._offsets(topic, partitions, OffsetSpec.earliest())

    def _offsets(self, topic: str, partitions: Iterable[int], spec: OffsetSpec) -> dict[int, int]:
        wanted = {TopicPartition(topic, partition): spec for partition in partitions}
        try:
            return self._ask_offsets(wanted)
        except KafkaException as error:
            if error.args[0].code() != KafkaError._NOENT:
                raise
        # A client that asked for a topic too early believes for many minutes that it is not there, if it knew
        # another one before (librdkafka 2.16: the other's expiry comes first). To list them all corrects that.
        self._admin.list_topics(timeout=_TIMEOUT)
        return self._ask_offsets(wanted)

    def _ask_offsets(self, wanted: dict[TopicPartition, OffsetSpec]) -> dict[int, int]:
        futures = self._admin.list_offsets(wanted, request_timeout=_TIMEOUT)
        found = {where.partition: _answer(future).offset for where, future in futures.items()}
        if min(found.values(), default=0) < 0:
            # No error, but no offset either, while a partition's leader is dead and has no successor yet.
            raise KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE))
        return found


def _answer(future: Future[A]) -> A:
    """What Kafka answered. Its client gives up by itself, but not always in time: that is no answer as well."""
    try:
        return future.result(_TIMEOUT + 1)
    except TimeoutError as error:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from error
