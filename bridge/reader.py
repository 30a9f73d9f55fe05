"""Step 3 of 7, log to task: the consumer: reads the log from the frontier on. One thread makes all of its calls."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from bridge.gathering import Gatherer
from polling.store.frontier import Place
from polling.store.rows import Generation
from polling.telemetry import logger, metrics
from polling.vote_log import consumer_config

log = logger(__name__)


class Reader:
    """Fills a gatherer from the topics that may be read. Raises `KafkaException` where the consumer is broken."""

    def __init__(
        self, broker: str, instance: str | None, gatherer: Gatherer, frontiers: Callable[[], Mapping[Place, int]]
    ) -> None:
        self._broker = broker
        self._instance = instance
        self._gatherer = gatherer
        self._frontiers = frontiers
        self._topics: dict[str, Generation] = {}
        self._assigned: dict[Place, TopicPartition] = {}
        self._left: set[Place] = set()
        self._paused = False
        self.out_of_range = False
        self._consumer: Consumer | None = None

    @property
    def topics(self) -> dict[str, Generation]:
        """The topics that are read."""
        return self._topics

    def subscribe(self, topics: Mapping[str, Generation]) -> None:
        """Reads these topics from now on, and no others; none at all where there are none."""
        if not topics or any(topics.get(topic, kept) != kept for topic, kept in self._topics.items()):
            self.leave()
        self._topics = dict(topics)
        self.out_of_range = False
        if not topics:
            return
        log.info("reading the log", topics=list(topics))
        if self._consumer is None:
            self._consumer = Consumer(consumer_config(self._broker, self._name()))
        self._consumer.subscribe(
            list(topics), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )

    def _name(self) -> str | None:
        """This member's name for good, where it has one. It tells what is read: Kafka gives a member that comes back
        what it had before it went, whatever it asks for now, and nobody would be given the rest."""
        if self._instance is None:
            return None
        return ".".join([self._instance, *(str(number) for number in sorted(g.number for g in self._topics.values()))])

    def read(self, wait: float, limit: int) -> int:
        """Waits for a record, takes what has come by then; answers how many records."""
        if self._consumer is None:
            time.sleep(wait)
            return 0
        self._left.clear()
        first = self._consumer.poll(wait)
        if first is None:
            return 0
        self._left.clear()
        return self._take([first, *self._consumer.consume(limit, 0)] if limit > 1 else [first])

    def hold(self) -> None:
        """Takes nothing for now, and stays in the group: to be called again and again while there is no room."""
        if self._consumer is None:
            return
        if not self._paused:
            self._consumer.pause(self._consumer.assignment())
            self._paused = True
        self._left.clear()
        message = self._consumer.poll(0)
        if message is not None:
            self._take([message])

    def go_on(self) -> None:
        """Takes records again."""
        if self._paused and self._consumer is not None:
            self._consumer.resume(self._consumer.assignment())
        self._paused = False

    def show_progress(self) -> None:
        """Commits the frontier, for whoever looks at the group's lag, and sets the lag's metric."""
        if self._consumer is None:
            return
        frontiers = self._frontiers()
        offsets = []
        for place, where in self._assigned.items():
            frontier = frontiers.get(place)
            if frontier is None:
                continue
            offsets.append(TopicPartition(where.topic, where.partition, frontier))
            _low, high = self._consumer.get_watermark_offsets(where, cached=True)
            metrics.log_lag.labels(*map(str, place)).set(max(0, high - frontier))
        if offsets:
            try:
                self._consumer.commit(offsets=offsets, asynchronous=True)
            except KafkaException as error:  # only the display of the lag suffers
                log.info("offsets not committed", error=str(error.args[0]))

    def leave(self) -> None:
        """Reads nothing, and leaves the consumer: one that failed for good, as one does whose place another took, or
        one whose work is another now. What it read and did not hand out is read again, from the frontier on."""
        self._drop(list(self._assigned))
        self._topics = {}
        self._paused = False
        self.close()

    def close(self) -> None:
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _take(self, messages: list[Message]) -> int:
        """Gathers the records among these, a partition at a time: what is done once a record costs most here. An end
        that was reached may come after them, wherever it stood."""
        runs: defaultdict[tuple[str | None, int | None], list[Message]] = defaultdict(list)
        events = []
        for message in messages:
            if message.error() is None:
                runs[message.topic(), message.partition()].append(message)
            else:
                events.append(message)
        for (topic, partition), run in runs.items():
            generation = self._topics.get(topic or "")
            if generation is not None and partition is not None:
                self._gatherer.add(
                    (generation.number, partition),
                    [message.offset() for message in run],
                    [message.timestamp()[1] for message in run],
                    [message.value() or b"" for message in run],
                )
        for event in events:
            self._heed(event, event.error())
        return len(messages) - len(events)

    def _heed(self, event: Message, error: KafkaError) -> None:
        topic = self._topics.get(event.topic() or "")
        if error.code() == KafkaError._PARTITION_EOF:
            if topic is not None:
                self._gatherer.reach((topic.number, event.partition()), event.offset())
        elif error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            self.out_of_range = True
        elif error.fatal() or error.code() == KafkaError._FATAL:
            raise KafkaException(error)
        else:
            log.warning("the log was not read", error=str(error))

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        frontiers = self._frontiers()
        for where in partitions:
            generation = self._topics.get(where.topic)
            if generation is None:  # asked for when the rebalance began, and not any more: the next takes it away
                where.offset = OFFSET_END
                continue
            place = (generation.number, where.partition)
            where.offset = frontiers.get(place, 0)
            self._assigned[place] = where
            if place in self._left:
                # Taken and given back within one read, which may hold records of it from before: to be read again.
                self.out_of_range = True
            else:
                self._gatherer.assign(place, where.offset)
        consumer.incremental_assign(partitions)
        if self._paused:
            consumer.pause(partitions)
        if partitions:
            log.info("partitions assigned", partitions=_names(partitions))

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        gone = {(where.topic, where.partition) for where in partitions}
        self._drop([place for place, where in self._assigned.items() if (where.topic, where.partition) in gone])
        if partitions:
            log.info("partitions revoked", partitions=_names(partitions))

    def _drop(self, places: list[Place]) -> None:
        self._left.update(places)
        for place in places:
            where = self._assigned.pop(place)
            self._gatherer.revoke(place)
            metrics.log_lag.labels(*map(str, place)).set(0)
            log.debug("partition dropped", partition=where.partition)


def _names(partitions: Iterable[TopicPartition]) -> list[str]:
    return [f"{where.topic}/{where.partition}@{where.offset}" for where in partitions]
