"""Celery over Kafka: task queues. One group consumer for all queues of a channel, so that none stalls another.

A record is committed when it and all before it in its partition are acknowledged. After any kill the rest is
delivered again.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable
from time import monotonic
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaException, TopicPartition

from .bell import Bell
from .config import Options
from .errors import MessageUndecodable
from .offsets import OffsetTracker
from .publisher import Publisher
from .pump import POLL, Pump
from .wire import as_redelivered, from_record

logger = logging.getLogger(__name__)


class Position(NamedTuple):
    """Where a record stands in the log."""

    topic: str
    partition: int
    offset: int


class Delivery(NamedTuple):
    """A decoded record on its way to a worker: `payload` is what kombu's Message takes."""

    position: Position
    payload: dict[str, Any]
    record: Any


class TaskConsumer(Pump):
    """Reads task topics for one channel. `room()` says how many more messages the channel would take."""

    def __init__(self, options: Options, bell: Bell, publisher: Publisher, room: Callable[[], int]) -> None:
        super().__init__("kafka task consumer", options.consumer(), bell)
        self.options = options
        self._publisher = publisher
        self._room = room
        self._changed = threading.Condition()
        self._wanted: dict[str, int] = {}
        self._leaving: set[str] = set()
        self._subscribed: set[str] = set()
        self._ready: deque[Delivery] = deque()
        self._running: Counter[str] = Counter()
        self._trackers: dict[tuple[str, int], OffsetTracker] = {}
        self._to_store: dict[tuple[str, int], int] = {}
        self._requeues: deque[Delivery] = deque()
        self._requeueing = 0
        self._full_since: float | None = None
        self._paused: set[tuple[str, int]] = set()
        self._assigned: set[tuple[str, int]] = set()

    # ---- called by the channel's thread

    def join(self, topic: str, partitions: int) -> None:
        """Read this topic from now on."""
        with self._changed:
            self._wanted[topic] = partitions
            self._leaving.discard(topic)
            self._changed.notify()

    def leave(self, topic: str) -> None:
        """Deliver nothing more from this topic; give it up once what is running has been acknowledged."""
        with self._changed:
            self._leaving.add(topic)
            self._changed.notify()

    def next(self) -> Delivery | None:
        """The next message for the worker, if one is here."""
        with self._changed:
            for place, delivery in enumerate(self._ready):
                if delivery.position.topic not in self._leaving:
                    del self._ready[place]
                    self._running[delivery.position.topic] += 1
                    return delivery
        return None

    def done(self, position: Position) -> None:
        """A delivered message is finished with, and need not come again."""
        with self._changed:
            self._running[position.topic] -= 1
            self._ack(position)
            self._changed.notify()

    def requeue(self, delivery: Delivery) -> None:
        """Put a delivered message to the tail of its topic; it is finished with once Kafka has it there."""
        with self._changed:
            self._requeues.append(delivery)
            self._changed.notify()

    def wake(self) -> None:
        """The channel has room, or something else to look at."""
        with self._changed:
            self._changed.notify()

    # ---- the pump's thread

    def turn(self) -> None:
        self._subscribe()
        self._store()
        self._send_requeues()
        if len(self._ready) < self._room():
            self._full_since = None
            self._resume()
            message = self.take(0.005 if self._requeueing else POLL)
            if message is not None:
                self._receive(message)
        else:
            self._stall()

    def on_stop(self) -> None:
        self._store()

    def _receive(self, message: Any) -> None:
        position = Position(message.topic(), message.partition(), message.offset())
        tag = f"{position.topic}:{position.partition}:{position.offset}"
        with self._changed:
            self._trackers.setdefault(position[:2], OffsetTracker()).add(position.offset)
        try:
            payload = from_record(message.value(), message.headers(), tag)
        except MessageUndecodable as error:
            logger.error("undecodable message at %s skipped: %s", tag, error)
            with self._changed:
                self._ack(position)
            return
        with self._changed:
            self._ready.append(Delivery(position, payload, message))
        self.bell.ring()

    def _ack(self, position: Position) -> None:
        tracker = self._trackers.get(position[:2])
        committable = tracker.ack(position.offset) if tracker else None
        if committable is not None:
            self._to_store[position[:2]] = committable

    def _store(self) -> None:
        """Hand finished prefixes to librdkafka, which commits them every `commit_interval` and when it parts."""
        if not self._to_store:
            return
        with self._changed:
            finished, self._to_store = self._to_store, {}
        for (topic, partition), offset in finished.items():
            try:
                self.consumer.store_offsets(offsets=[TopicPartition(topic, partition, offset)])
            except KafkaException as error:
                # The partition has moved meanwhile; its new owner runs the task again.
                logger.info("offset %d of %s[%d] not stored: %s", offset, topic, partition, error)

    def _subscribe(self) -> None:
        with self._changed:
            for topic in [t for t in self._leaving if not self._running[t]]:
                self._leaving.discard(topic)
                self._wanted.pop(topic, None)
            wanted = set(self._wanted)
        if wanted == self._subscribed:
            return
        self._store()
        self._subscribed = wanted
        if wanted:
            self.consumer.subscribe(
                sorted(wanted), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
            )
        else:
            self.consumer.unsubscribe()

    def _on_assign(self, _consumer: Consumer, places: list[TopicPartition]) -> None:
        logger.info("assigned %s", _names(places))
        self._assigned.update((place.topic, place.partition) for place in places)

    def _on_revoke(self, _consumer: Consumer, places: list[TopicPartition]) -> None:
        logger.info("revoked %s", _names(places))
        self._store()
        gone = {(place.topic, place.partition) for place in places}
        self._assigned -= gone
        self._paused -= gone
        with self._changed:
            for place in gone:
                self._trackers.pop(place, None)
                self._to_store.pop(place, None)
            self._ready = deque(d for d in self._ready if d.position[:2] not in gone)

    def _stall(self) -> None:
        """No room: wait for an acknowledgement; from `stall_after` on keep the group informed as well.

        Not at once, for librdkafka drops and fetches again what it had buffered of a paused partition.
        """
        now = monotonic()
        if self._full_since is None:
            self._full_since = now
        if now - self._full_since >= self.options.stall_after:
            if fresh := self._assigned - self._paused:
                self.consumer.pause([TopicPartition(*place) for place in fresh])
                self._paused |= fresh
            message = self.take(0)
            if message is not None:
                self._receive(message)
        with self._changed:
            idle = not (self._stopping or self._to_store or self._requeues)
            if idle and len(self._ready) >= self._room():
                self._changed.wait(0.005 if self._requeueing else POLL)

    def _resume(self) -> None:
        if self._paused:
            self.consumer.resume([TopicPartition(*place) for place in self._paused])
            self._paused = set()

    def _send_requeues(self) -> None:
        for _ in range(len(self._requeues)):
            self._send_requeue(self._requeues.popleft())
        if self._requeueing:
            self._publisher.serve()

    def _send_requeue(self, delivery: Delivery) -> None:
        """Publish again without waiting: an outage must not hold the worker up, and the record is still unfinished."""

        def report(error: object, _message: object) -> None:
            with self._changed:
                self._requeueing -= 1
            if error is None:
                self.done(delivery.position)
            else:
                logger.warning("requeue into %s failed, trying again: %s", delivery.position.topic, error)
                self._requeues.append(delivery)

        record, topic = delivery.record, delivery.position.topic
        with self._changed:
            self._requeueing += 1
        sent = self._publisher.again(
            topic, record.value(), as_redelivered(record.headers()), self._wanted.get(topic, 1), report
        )
        if not sent:
            report("the producer's queue is full", None)


def _names(places: list[TopicPartition]) -> str:
    return ", ".join(f"{place.topic}[{place.partition}]" for place in places) or "nothing"
