"""Step 2 of 7, log: many votes under way together, waited for as one."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from confluent_kafka import KafkaError, Message

from polling.telemetry import logger
from polling.vote_log.position import Position, position_of

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
        self._sent = 0
        self._reported = itertools.count(1)  # one step at a time, whichever threads take them
        self._last: int | None = None
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
        """Returns after the last report: `lost`. To be called once, after the last vote was sent."""
        # This counts as a report too, and whoever is the last to report knows it.
        self._last = self._sent + 1
        if next(self._reported) == self._last:
            self._wake()
        await self._settled
        if self.lost:
            log.warning("votes were not acknowledged", votes=len(self.lost), error=str(self._error or "queue full"))
        return self.lost

    def on_delivery(self, error: KafkaError | None, message: Message) -> None:
        """For the producer, in its thread."""
        if error is not None or self._remembered:
            self._note(error, message)
        if next(self._reported) == self._last:
            self._loop.call_soon_threadsafe(self._wake)

    def _note(self, error: KafkaError | None, message: Message) -> None:
        ballot = message.key() or b""
        if error is not None:
            self._error = error
            self.lost.add(ballot)
        elif ballot in self._remembered:
            self.placed.setdefault(ballot, position_of(message, self._generations))

    def _wake(self) -> None:
        if not self._settled.done():  # whoever waited may have been cancelled
            self._settled.set_result(None)
