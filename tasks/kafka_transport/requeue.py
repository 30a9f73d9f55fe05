"""Celery over Kafka: rejected messages that want to be delivered again go to the tail of their topic.

Without waiting, for an outage must not hold the worker up; and the old record counts as finished only when Kafka has
the new one, so that a kill in between delivers it twice rather than never.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic

from confluent_kafka import KafkaError

from .delivery import Delivery, Position
from .errors import BrokerUnavailable, PublishError
from .ratelog import RateLog
from .topics import Topics
from .wire import as_redelivered

logger = logging.getLogger(__name__)

#: Seconds until a failed requeue is tried again.
_PAUSE = 0.5


class Requeues:
    """What is to be sent again by one consumer. `add` may be called from any thread, `turn` from the consumer's."""

    def __init__(self, topics: Topics, done: Callable[[Position], None]) -> None:
        """`done` is called, from whichever thread serves the report, once the message is stored again."""
        self._topics = topics
        self._done = done
        self._waiting: deque[Delivery] = deque()
        self._lock = threading.Lock()
        self._under_way = 0
        self._not_before = 0.0
        self._failures = RateLog(logger, "%d requeues failed and are tried again, the latest %s")

    def __bool__(self) -> bool:
        """Whether delivery reports are awaited."""
        return self._under_way > 0

    def add(self, delivery: Delivery) -> None:
        """Send this again, soon."""
        self._waiting.append(delivery)

    def turn(self) -> None:
        """Send what waits, and serve the reports of what was sent."""
        if self._waiting and monotonic() >= self._not_before:
            for _ in range(len(self._waiting)):
                self._send(self._waiting.popleft())
        if self._under_way:
            self._topics.publisher.serve()

    def _send(self, delivery: Delivery) -> None:
        topic, record = delivery.position.topic, delivery.record

        def report(error: KafkaError | None, _message: object) -> None:
            with self._lock:
                self._under_way -= 1
            if error is None:
                self._done(delivery.position)
            else:
                self._failed(delivery, str(error))

        with self._lock:
            self._under_way += 1
        try:
            headers, partitions = as_redelivered(record.headers()), self._topics.partitions(topic)
            self._topics.publisher.begin(topic, record.value(), headers, partitions, report)
        except (PublishError, BrokerUnavailable) as error:
            with self._lock:
                self._under_way -= 1
            self._failed(delivery, str(error))

    def _failed(self, delivery: Delivery, why: str) -> None:
        self._failures.add(f"{delivery.position}: {why}")
        self._not_before = monotonic() + _PAUSE
        self._waiting.append(delivery)
