"""Step 2 of 7, log: many votes under way together, waited for as one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from confluent_kafka import KafkaError, Message

from polling.telemetry import logger
from polling.vote_log.position import Position

log = logger(__name__)


class Sending:
    """Counts the reports of deliveries, in the producer's thread, and wakes the loop once, after the last.

    `lost` has the ballots that Kafka did not acknowledge: whether these votes count is unknown. `placed` has where
    those are of which it was to be remembered. `generations` by their topics.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, generations: Mapping[str, int]) -> None:
        self.lost: set[bytes] = set()
        self.placed: dict[bytes, Position] = {}
        self._error: KafkaError | None = None
        self._loop = loop
        self._generations = generations
        self._remembered: set[bytes] = set()
        self._sent = 0  # by the loop's thread alone
        self._reported = 0  # by whichever thread serves a producer; there are two while one is made anew
        self._lock = threading.Lock()
        self._all: int | None = None
        self._settled: asyncio.Future[None] = loop.create_future()

    def sent(self, ballot: bytes, remember: bool) -> None:
        """One more is about to go."""
        if remember:
            self._remembered.add(ballot)
        self._sent += 1

    def refused(self, ballot: bytes) -> None:
        """It did not go: the local queue is full."""
        self.lost.add(ballot)
        self._sent -= 1

    async def settled(self) -> AbstractSet[bytes]:
        """Returns after the last report: `lost`."""
        with self._lock:
            self._all = self._sent
            if self._reported == self._all:
                self._wake()
        await self._settled
        if self.lost:
            log.warning("votes were not acknowledged", votes=len(self.lost), error=str(self._error or "queue full"))
        return self.lost

    def on_delivery(self, error: KafkaError | None, message: Message) -> None:
        """For the producer, in its thread."""
        ballot = message.key() or b""
        if error is not None:
            self._error = error
            self.lost.add(ballot)
        elif ballot in self._remembered:
            generation = self._generations[message.topic() or ""]
            place = Position(generation, message.partition() or 0, message.offset() or 0)
            self.placed.setdefault(ballot, place)
        with self._lock:
            self._reported += 1
            last = self._reported == self._all
        if last:
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        if not self._settled.done():  # whoever waited may have been cancelled
            self._settled.set_result(None)
