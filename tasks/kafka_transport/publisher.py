"""Celery over Kafka: publishing. A message is published when its own delivery report says so.

One producer serves all threads of a process. Each call waits for the reports of its own messages and raises for
nothing else: whoever polls the producer serves the reports of all, and wakes the others.
"""

from __future__ import annotations

import atexit
import itertools
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from . import handles
from .errors import BrokerUnavailable, PublishError
from .ratelog import RateLog

logger = logging.getLogger(__name__)

Headers = list[tuple[str, str | bytes | None]]

#: librdkafka's `RD_KAFKA_PARTITION_UA`: let the partitioner decide, by the key.
PARTITION_BY_KEY = -1
#: What Kafka or librdkafka says where a topic or partition that was known has been deleted. `_DESTROY` is the fate of a
#: message that came into the queue of a partition just as librdkafka was about to take that partition apart.
_GONE = {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError._DESTROY,
}
#: Seconds beyond `publish_timeout` until we stop waiting for librdkafka's own verdict.
_GRACE = 2.0


class Report:
    """The fate of one message: pending, stored (`done` and no `error`), or refused."""

    __slots__ = ("done", "error", "topic")

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.done = False
        self.error: KafkaError | None = None

    def __call__(self, error: KafkaError | None, _message: object) -> None:
        self.error = error
        self.done = True


class Publisher:
    """A producer and its delivery reports, safe to use from several threads of the process that made it."""

    def __init__(self, config: dict[str, Any], timeout: float) -> None:
        self.producer = handles.keep(Producer(config))
        self.timeout = timeout
        self._turn = threading.Condition()
        self._polling = False
        self._next = itertools.count()
        #: Broadcasts that nobody waits for, and that were not stored.
        self.lost = RateLog(logger, "%d broadcast messages (events) were not stored: %s")
        #: Topics that a message found not to be there any more, for whoever sends the next to look again.
        self.gone: set[str] = set()

    def metadata(self, timeout: float, topic: str | None = None) -> Any:
        """The cluster's metadata. Raises BrokerUnavailable where no broker answers in `timeout` seconds."""
        try:
            return (
                self.producer.list_topics(topic, timeout=timeout)
                if topic
                else self.producer.list_topics(timeout=timeout)
            )
        except KafkaException as error:
            raise BrokerUnavailable(f"no Kafka broker answered within {timeout:g} s: {error}") from error

    def publish(self, topic: str, partitions: int, value: bytes, headers: Headers, key: bytes | None) -> None:
        """Send one message; wait until it is stored, or, within `publish_batch()`, leave the wait to its end.

        Messages without a key take turns over the `partitions`. Raises PublishError.
        """
        report = self._produce(topic, value, headers, key, partitions)
        batch: _Batch | None = getattr(_local, "batch", None)
        if batch is not None:
            batch.add(self, report)
            self._serve(0)
            return
        self.wait([report])

    def _produce(self, topic: str, value: bytes, headers: Headers, key: bytes | None, partitions: int) -> Report:
        report = Report(topic)
        partition = PARTITION_BY_KEY if key is not None else next(self._next) % partitions
        deadline = monotonic() + self.timeout
        while True:
            try:
                self.producer.produce(topic, value, key, partition, on_delivery=report, headers=headers)
            except BufferError:
                if monotonic() > deadline:
                    raise PublishError(f"{topic}: the producer's queue stayed full") from None
                self._serve(0.1)
            except KafkaException as error:
                self._heed(topic, error.args[0])
                raise _refusal(f"{topic}: {error}", [error.args[0]]) from error
            else:
                return report

    def wait(self, reports: list[Report]) -> None:
        """Wait for these reports, and raise PublishError naming the first failures among them, if any."""
        deadline = monotonic() + self.timeout + _GRACE
        for report in reports:
            with self._turn:
                while not report.done and (left := deadline - monotonic()) > 0:
                    if self._polling:
                        self._turn.wait(left)
                    else:
                        self._poll_in_turn(min(left, 1.0))
        for report in reports:
            self._heed(report.topic, report.error)
        failed = [f"{r.topic}: {r.error or 'no answer'}" for r in reports if r.error is not None or not r.done]
        if failed:
            text = f"{len(failed)} of {len(reports)} messages not stored: {'; '.join(failed[:3])}"
            raise _refusal(text, [r.error for r in reports])

    def _poll_in_turn(self, seconds: float) -> None:
        """Poll as the only thread that does (a report served elsewhere would wake nobody). Holds the condition."""
        self._polling = True
        self._turn.release()
        try:
            self.producer.poll(seconds)
        finally:
            self._turn.acquire()
            self._polling = False
            self._turn.notify_all()

    def _serve(self, seconds: float) -> None:
        with self._turn:
            if self._polling:
                self._turn.wait(seconds)
            else:
                self._poll_in_turn(seconds)

    def broadcast(self, topic: str, value: bytes, headers: Headers) -> None:
        """Send a message that nobody waits for (an event). What can't be stored is counted and logged, never raised."""
        try:
            self.producer.produce(topic, value, headers=headers, partition=0, on_delivery=self._on_broadcast)
        except BufferError as error:
            self.lost.add(str(error))
        except KafkaException as error:
            self._heed(topic, error.args[0])
            self.lost.add(str(error))
        self._serve(0)

    def _on_broadcast(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._heed(message.topic() or "", error)
            self.lost.add(str(error))

    def _heed(self, topic: str, error: KafkaError | None) -> None:
        if error is not None and error.code() in _GONE:
            self.gone.add(topic)

    def begin(self, topic: str, value: bytes, headers: Headers, partitions: int, report: Any) -> None:
        """Send without waiting; `report(error, message)` is called once the fate is known, by whoever polls.

        Raises PublishError where it can't even be begun; then there is no report.
        """
        partition = next(self._next) % partitions

        def heed(error: KafkaError | None, message: Message) -> None:
            self._heed(topic, error)
            report(error, message)

        try:
            self.producer.produce(topic, value, headers=headers, partition=partition, on_delivery=heed)
        except BufferError:
            raise PublishError(f"{topic}: the producer's queue is full") from None
        except KafkaException as error:
            self._heed(topic, error.args[0])
            raise _refusal(f"{topic}: {error}", [error.args[0]]) from error

    def serve(self) -> None:
        """Serve the reports that have come, without waiting."""
        self._serve(0)

    def flush(self, seconds: float) -> int:
        """Wait for all that is under way, at most `seconds`; returns how many messages are left."""
        return int(self.producer.flush(seconds)) if len(self.producer) else 0


def _refusal(text: str, errors: list[KafkaError | None]) -> PublishError:
    refusal = PublishError(text)
    refusal.topic_gone = any(error is not None and error.code() in _GONE for error in errors)
    return refusal


class _Batch:
    def __init__(self) -> None:
        self.reports: dict[Publisher, list[Report]] = {}

    def add(self, publisher: Publisher, report: Report) -> None:
        self.reports.setdefault(publisher, []).append(report)


_local = threading.local()


@contextmanager
def publish_batch() -> Iterator[None]:
    """Send this thread's messages (`apply_async` and the like) together, and wait once, at the end of the block.

    Raises PublishError at the end where any of them was not stored: the others are. An inner block joins the outer.
    Messages sent before an exception in the block are waited for too, and the exception goes on.
    """
    if getattr(_local, "batch", None) is not None:
        yield
        return
    batch = _local.batch = _Batch()
    try:
        yield
    finally:
        _local.batch = None
        for publisher, reports in batch.reports.items():
            publisher.wait(reports)


@atexit.register
def _flush_events() -> None:
    """Tasks were waited for; the last events of a process are worth a second."""
    for thing in handles.everything_shared():
        if isinstance(thing, Publisher):
            thing.flush(1.0)
