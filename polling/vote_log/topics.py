"""Step 2 of 7, log: makes topics, and says what Kafka itself calls them, so that a new one under an old name shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import closing
from typing import NamedTuple, TypeVar

from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ListOffsetsResultInfo, NewTopic, OffsetSpec

from polling.vote_log.config import LATER_TOPIC, VOTES_TOPIC, admin_config, topic_config
from polling.vote_log.reading import LogReader

A = TypeVar("A")

_TIMEOUT = 10.0

_STALE = (
    KafkaError._NOENT,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.NOT_LEADER_FOR_PARTITION,
)


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
        self._broker = broker
        self._config = admin_config(broker)
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

    def first_since(self, topic: str, partitions: Iterable[int], time: int) -> dict[int, int]:
        """The offset of the first record of each partition that was written at this time (milliseconds since 1970) or
        after it; -1 where there is none, or where Kafka does not show it for now: a broker that has just taken over
        leaves out what it does not know to be on the others as well."""
        return self._offsets(topic, partitions, OffsetSpec.for_timestamp(time))

    def written_at(self, topic: str, offsets: Mapping[int, int]) -> dict[int, int]:
        """When the record at the offset of each partition was written, in milliseconds since 1970. Read, and not asked
        for: an answer about times may leave records out (`first_since`).

        Raises:
            RecordsGone: one of them was deleted.
        """
        with closing(LogReader(self._broker)) as reader:
            ranges = {partition: (offset, offset + 1) for partition, offset in offsets.items()}
            return {partition: run[0].timestamp()[1] for partition, run in reader.read(topic, ranges)}

    def newest_times(self, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """When the newest record of each partition that has any was written, in milliseconds since 1970."""
        starts, ends = self.starts(topic, partitions), self.ends(topic, partitions)
        newest = {partition: end - 1 for partition, end in ends.items() if end > starts[partition]}
        return self.written_at(topic, newest)

    def delete_before(self, topic: str, offsets: Mapping[int, int]) -> None:
        """Deletes the records of each partition that lie before its offset, for good."""
        wanted = [TopicPartition(topic, partition, offset) for partition, offset in offsets.items()]

        def delete() -> None:
            for future in self._admin.delete_records(wanted, request_timeout=_TIMEOUT).values():
                _answer(future)

        self._knowing_nothing(delete)

    def _offsets(self, topic: str, partitions: Iterable[int], spec: OffsetSpec) -> dict[int, int]:
        found = self._ask({TopicPartition(topic, partition): spec for partition in partitions})
        return {where.partition: one.offset for where, one in found.items()}

    def _ask(self, wanted: dict[TopicPartition, OffsetSpec]) -> dict[TopicPartition, ListOffsetsResultInfo]:
        return self._knowing_nothing(lambda: self._ask_once(wanted))

    def _knowing_nothing(self, ask: Callable[[], A]) -> A:
        """What a client once knew it goes on to believe (librdkafka 2.16): for many minutes that a topic is not there,
        which it asked for too early, and for good the leader's epoch of before another broker took over. A new client
        knows nothing, and so asks anew."""
        try:
            return ask()
        except KafkaException as error:
            if error.args[0].code() not in _STALE:
                raise
        self._admin = AdminClient(self._config)
        return ask()

    def _ask_once(self, wanted: dict[TopicPartition, OffsetSpec]) -> dict[TopicPartition, ListOffsetsResultInfo]:
        futures = self._admin.list_offsets(wanted, request_timeout=_TIMEOUT)
        found = {where: _answer(future) for where, future in futures.items()}
        if any(one.offset == OFFSET_INVALID for one in found.values()):
            # No error, but no offset either, while a partition's leader is dead and has no successor yet.
            raise KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE))
        return found


def _answer(future: Future[A]) -> A:
    """What Kafka answered. Its client gives up by itself, but not always in time: that is no answer as well."""
    try:
        return future.result(_TIMEOUT + 1)
    except TimeoutError as error:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from error
