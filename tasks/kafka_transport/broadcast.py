"""Celery over Kafka: broadcasts. What everybody gets: remote control, its replies, events.

One topic for each exchange, read by `assign` from the end that was at binding: no group, no rebalance, nothing
published after the binding missed. Which queue a message belongs to is decided here, by the exchange's type.
"""

from __future__ import annotations

import logging
import re
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import TopicPartition

from .bell import Bell
from .config import Options
from .errors import MessageUndecodable
from .pump import POLL, Pump
from .ratelog import RateLog
from .wire import from_record

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Binding:
    """A queue bound to a broadcast exchange; `pattern` None takes everything (fanout)."""

    topic: str
    pattern: re.Pattern[str] | None
    waiting: deque[dict[str, Any]] = field(default_factory=deque)
    consumed: bool = False


class BroadcastReader(Pump):
    """Reads the broadcast topics of one connection into the queues bound to them."""

    def __init__(self, options: Options, bell: Bell) -> None:
        super().__init__("kafka broadcast reader", options.broadcast_reader(), bell)
        self._limit = options.broadcast_backlog
        self._lock = threading.Lock()
        self._bindings: dict[str, list[Binding]] = {}
        self._starts: dict[str, int] = {}
        self._assigned: set[str] = set()
        self._dropped = RateLog(logger, "%d broadcast messages dropped, nobody reads queue %s")
        self._idle = threading.Event()

    # ---- called by the connection's thread

    def reads(self, topic: str) -> bool:
        """Whether this topic is read already."""
        return topic in self._starts

    def bind(self, queue: str, topic: str, pattern: re.Pattern[str] | None, start: int) -> None:
        """Collect for `queue` what is published to `topic` from offset `start` on (unless it is read already)."""
        with self._lock:
            bound = self._bindings.setdefault(queue, [])
            consumed = any(binding.consumed for binding in bound)
            bound.append(Binding(topic, pattern, consumed=consumed))
            self._starts.setdefault(topic, start)
        self.wake()

    def unbind(self, queue: str) -> None:
        """Forget a queue and what waits in it."""
        with self._lock:
            self._bindings.pop(queue, None)
            bound = {binding.topic for bindings in self._bindings.values() for binding in bindings}
            self._starts = {topic: start for topic, start in self._starts.items() if topic in bound}

    def bound(self, queue: str) -> bool:
        """Whether the queue is one of ours."""
        return queue in self._bindings

    def consume(self, queue: str) -> None:
        """Somebody reads the queue from now on."""
        with self._lock:
            for binding in self._bindings.get(queue, ()):
                binding.consumed = True
        self.bell.ring()

    def next(self) -> tuple[str, dict[str, Any]] | None:
        """(queue, payload) of the next message that somebody reads, if one is here."""
        with self._lock:
            for queue, bindings in self._bindings.items():
                for binding in bindings:
                    if binding.consumed and binding.waiting:
                        return queue, binding.waiting.popleft()
        return None

    def wake(self) -> None:
        self._idle.set()

    # ---- the pump's thread

    def turn(self) -> None:
        self._assign()
        if not self._assigned or self._backlogged():
            self._idle.wait(POLL)
            self._idle.clear()
            return
        message = self.take(POLL)
        if message is not None:
            self._route(message)

    def on_stop(self) -> None:
        """Nothing to keep: broadcasts are not acknowledged."""

    def _assign(self) -> None:
        with self._lock:
            starts = dict(self._starts)
        if fresh := starts.keys() - self._assigned:
            self.consumer.incremental_assign([TopicPartition(topic, 0, starts[topic]) for topic in fresh])
        if stale := self._assigned - starts.keys():
            self.consumer.incremental_unassign([TopicPartition(topic, 0) for topic in stale])
        self._assigned = set(starts)

    def _backlogged(self) -> bool:
        """A reader that is slow makes us wait, for Kafka keeps the rest; one that is gone does not."""
        with self._lock:
            everything = [binding for bindings in self._bindings.values() for binding in bindings]
            return any(binding.consumed and len(binding.waiting) >= self._limit for binding in everything)

    def _route(self, message: Any) -> None:
        topic = message.topic()
        try:
            tag = f"{topic}:{message.partition()}:{message.offset()}"
            payload = from_record(message.value(), message.headers(), tag)
        except MessageUndecodable as error:
            logger.error("undecodable broadcast at %s:%d skipped: %s", topic, message.offset(), error)
            return
        key = payload["properties"]["delivery_info"].get("routing_key") or ""
        with self._lock:
            for queue, bindings in self._bindings.items():
                for binding in bindings:
                    if binding.topic == topic and (binding.pattern is None or binding.pattern.match(key)):
                        if len(binding.waiting) >= self._limit:
                            binding.waiting.popleft()
                            self._dropped.add(queue)
                        binding.waiting.append({**payload, "properties": dict(payload["properties"])})
        self.bell.ring()
