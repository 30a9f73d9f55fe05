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
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from .bell import Bell
from .config import Options
from .delivery import Delivery, Position
from .errors import MessageUndecodable
from .offsets import OffsetTracker
from .pump import POLL, Pump
from .requeue import Requeues
from .topics import Topics
from .trim import Trimmer
from .wire import from_record

logger = logging.getLogger(__name__)

#: Seconds after which a static member gives up a topic that it was told to leave; longer than a worker takes to stop.
LEAVE_AFTER = 15.0

#: Seconds of quiet after a topic was joined: a worker joins one after the other, and a static member that comes back is
#: given what it had by Kafka without another look at what it asks for, so that it should ask for all of them at once.
SETTLE = 0.1

#: Seconds of a poll while delivery reports of requeued messages are awaited.
REPORT = 0.005


class TaskConsumer(Pump):
    """Reads task topics for one channel. `room()` says how many more messages the channel would take."""

    def __init__(self, options: Options, bell: Bell, topics: Topics, room: Callable[[], int]) -> None:
        super().__init__("kafka task consumer", options.consumer(), bell)
        self.options = options
        self._room = room
        self._changed = threading.Condition()
        self._wanted: set[str] = set()
        self._joined_at = 0.0
        self._leaving: dict[str, float] = {}
        self._subscribed: set[str] = set()
        self._ready: deque[Delivery] = deque()
        self._running: Counter[str] = Counter()
        self._trackers: dict[tuple[str, int], OffsetTracker] = {}
        self._to_store: dict[tuple[str, int], int] = {}
        self._requeues = Requeues(topics, self.done)
        self._trimmer = Trimmer(topics, options.trim_interval)
        self._full_since: float | None = None
        self._paused: set[tuple[str, int]] = set()
        self._assigned: set[tuple[str, int]] = set()

    # ---- called by the channel's thread

    def join(self, topic: str) -> None:
        """Read this topic from now on."""
        with self._changed:
            self._wanted.add(topic)
            self._joined_at = monotonic()
            self._leaving.pop(topic, None)
            self._changed.notify()

    def leave(self, topic: str) -> None:
        """Deliver nothing more from this topic; give it up once what is running has been acknowledged, and only after
        a while: a worker that stops leaves one topic after the other, and Kafka would remember a static member by the
        last of them, and give it no more than that when it comes back.
        """
        with self._changed:
            self._leaving.setdefault(topic, monotonic())
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
        self._requeues.add(delivery)
        self.wake()

    def wake(self) -> None:
        """The channel has room, or something else to look at."""
        with self._changed:
            self._changed.notify()

    # ---- the pump's thread

    def turn(self) -> None:
        self._subscribe()
        self._store()
        self._requeues.turn()
        self._trimmer.turn()
        if len(self._ready) < self._room():
            self._full_since = None
            self._resume()
            message = self.take(REPORT if self._requeues else POLL)
            if message is not None:
                self._receive(message)
        else:
            self._stall()

    def on_stop(self) -> None:
        self._store()

    def _receive(self, message: Any) -> None:
        position = Position(message.topic(), message.partition(), message.offset())
        with self._changed:
            self._trackers.setdefault(position[:2], OffsetTracker()).add(position.offset)
        try:
            payload = from_record(message.value(), message.headers(), str(position))
        except MessageUndecodable as error:
            logger.error("undecodable message at %s skipped: %s", position, error)
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
                self._trimmer.note(topic, partition, offset)
            except KafkaException as error:
                # The partition has moved meanwhile; its new owner runs the task again.
                logger.info("offset %d of %s[%d] not stored: %s", offset, topic, partition, error)

    def _subscribe(self) -> None:
        with self._changed:
            # They stay among the leaving, so that what is still here of them is not delivered before the revocation.
            patience = LEAVE_AFTER if self.options.group_instance_id else 0.0
            over = {topic for topic, since in self._leaving.items() if monotonic() - since >= patience}
            self._wanted -= {topic for topic in over if not self._running[topic]}
            wanted = set(self._wanted)
            settled = monotonic() - self._joined_at >= SETTLE
        if wanted == self._subscribed or not (settled or wanted < self._subscribed):
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
            self._pause(self._assigned)
            message = self.take(0)
            if message is not None:
                self._receive(message)
        with self._changed:
            idle = not (self._stopping or self._to_store)
            if idle and len(self._ready) >= self._room():
                self._changed.wait(REPORT if self._requeues else POLL)

    def _pause(self, places: set[tuple[str, int]]) -> None:
        if fresh := places - self._paused:
            self.consumer.pause([TopicPartition(*place) for place in fresh])
            self._paused |= fresh

    def _resume(self) -> None:
        """All but what is being left: that must not fill the room of the others."""
        if self._leaving:
            self._pause({place for place in self._assigned if place[0] in self._leaving})
        if again := {place for place in self._paused if place[0] not in self._leaving}:
            self.consumer.resume([TopicPartition(*place) for place in again])
            self._paused -= again


def _names(places: list[TopicPartition]) -> str:
    return ", ".join(f"{place.topic}[{place.partition}]" for place in places) or "nothing"
