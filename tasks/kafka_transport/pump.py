"""Celery over Kafka: a consumer and the one thread that may touch it.

A call into a consumer from another thread waits until `poll` there returns, which may be never. So poll, store and
commit live in one thread; others leave their wishes in memory and ring.
"""

from __future__ import annotations

import ctypes
import logging
import os
import threading
from abc import ABC, abstractmethod
from typing import Any

from confluent_kafka import Consumer, KafkaError

from . import handles
from .bell import Bell
from .errors import ConsumerFailed
from .ratelog import RateLog, Thinned

logger = logging.getLogger(__name__)
#: What librdkafka has to say about its consumers.
_librdkafka = logging.getLogger(f"{__name__}.librdkafka")
_librdkafka.addFilter(Thinned())

#: Seconds of one poll: how long a wish of another thread may go unnoticed while nothing arrives.
POLL = 0.1
#: Seconds in which a consumer has to leave its group when it is closed.
_PARTING = 3.0


class Pump(ABC):
    """Runs `turn()` again and again in its own thread until stopped.

    `turn` may block for about POLL seconds; it may raise, which ends the pump: `check()` then raises ConsumerFailed
    in the thread that waits for messages.
    """

    def __init__(self, name: str, config: dict[str, Any], bell: Bell) -> None:
        self.consumer = handles.keep(Consumer({**config, "logger": _librdkafka}))
        self.bell = bell
        self._pid = os.getpid()
        self._stopping = False
        self._failure: Exception | None = None
        self._troubles = RateLog(logger, f"{name}: %d consumer errors, the latest: %s")
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @abstractmethod
    def turn(self) -> None:
        """One round of work, in the pump's thread."""

    @abstractmethod
    def on_stop(self) -> None:
        """The last thing before the consumer is closed, in the pump's thread."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End: commit what is finished, leave the group. Waits at most some seconds. Nothing happens in a fork."""
        self._stopping = True
        if self._pid != os.getpid() or not self._thread.is_alive():
            return
        self.wake()
        self._thread.join(_PARTING)
        if self._thread.is_alive():
            # Destroying the handle would wait for the same broker again: leave it to the end of the process.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self.consumer))
            logger.warning("%s did not part from Kafka within %g s", self._thread.name, _PARTING)

    @abstractmethod
    def wake(self) -> None:
        """Have the next turn soon."""

    def check(self) -> None:
        """Raise ConsumerFailed if the pump has ended by itself."""
        if self._failure is not None:
            raise ConsumerFailed(f"{self._thread.name}: {self._failure}") from self._failure

    def take(self, seconds: float) -> Any:
        """The next record, or None. Errors that heal by themselves are logged; a fatal one is raised."""
        message = self.consumer.poll(seconds)
        if message is None:
            return None
        error: KafkaError | None = message.error()
        if error is None:
            return message
        if error.fatal() or error.code() == KafkaError._FATAL:
            raise ConsumerFailed(str(error))
        self._troubles.add(str(error))
        return None

    def _run(self) -> None:
        try:
            while not self._stopping:
                self.turn()
        except Exception as error:
            # It is raised again in the thread that waits for messages, by `check`.
            logger.error("%s ends: %s", self._thread.name, error, exc_info=not isinstance(error, ConsumerFailed))
            self._failure = error
        try:
            self.on_stop()
            self.consumer.close()
        finally:
            handles.drop(self.consumer)
            self.bell.ring()
