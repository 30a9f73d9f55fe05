"""Step 2 of 7, log: writes votes to Kafka from the loop, and wakes the loop once for many acknowledgements.

One producer and one poll thread a process, made after any fork: librdkafka's handles do not survive one.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from polling.core.errors import LogUnavailable
from polling.telemetry import logger
from polling.vote_log.config import ACK_SECONDS, producer_config
from polling.vote_log.position import Position, position_of
from polling.vote_log.sending import Sending
from polling.vote_log.steering import Steering

log = logger(__name__)

_LOOK_AGAIN = 1.0


Delivery = tuple["asyncio.Future[Position]", KafkaError | None, Message]


class VoteWriter:
    """The process's one producer of votes. Made inside the loop's thread; `use` says which topic is written."""

    def __init__(self, broker: str, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._config = {**producer_config(broker), "error_cb": self._on_error}
        self._producer = Producer(self._config)
        self._topic: str | None = None
        self._steering: Steering | None = None
        self._generations: dict[str, int] = {}
        self._delivered: deque[Delivery] = deque()
        self._woken = False
        self._fatal = False
        self._look_again_at = 0.0
        self._stopped = False
        self._thread = threading.Thread(target=self._poll, name="vote writer", daemon=True)
        self._thread.start()

    def use(self, topic: str, generation: int, partitions: int) -> None:
        """From now on votes go to this topic, which has so many partitions."""
        self._topic = topic
        self._generations[topic] = generation
        self._steering = Steering(partitions)

    def fresh_ballot(self) -> bytes:
        """The ballot of a plain vote that is about to be cast: those of a few milliseconds share a partition.

        Raises:
            LogUnavailable: no topic is known yet.
        """
        if self._steering is None:
            raise LogUnavailable
        return self._steering.fresh()

    def cast(self, poll_id: str, ballot: bytes, option: int) -> asyncio.Future[Position]:
        """Sends a vote. The future has its position once every replica in sync acknowledged it.

        Raises:
            LogUnavailable: no topic is known yet, or the local queue is full. The future raises it where Kafka did
                not acknowledge in time: whether the vote counts is unknown then.
        """
        future: asyncio.Future[Position] = self._loop.create_future()
        producer, topic = self._ready()
        report = partial(self._on_delivery, future)
        try:
            producer.produce(topic, _records(poll_id)(ballot, option), ballot, on_delivery=report)
        except (BufferError, KafkaException) as error:
            self._on_unsent(error)
            raise LogUnavailable from error
        return future

    def cast_many(self) -> Sending:
        """Begins to send many votes, some at a time by `cast_with`; await its `settled` after the last."""
        return Sending(self._loop, self._generations)

    def cast_with(self, sending: Sending, poll_id: str, votes: Iterable[tuple[bytes, int, bool]]) -> None:
        """Sends some of many: the ballot, the option, and whether its place is to be remembered. What cannot be sent
        now is among its `lost`."""
        try:
            producer, topic = self._ready()
        except LogUnavailable:
            for ballot, _option, _remember in votes:
                sending.lost.add(ballot)
            return
        produce, on_delivery = producer.produce, sending.on_delivery
        record = _records(poll_id)
        for ballot, option, remember in votes:
            sending.sent(ballot, remember)
            try:
                produce(topic, record(ballot, option), ballot, on_delivery=on_delivery)
            except (BufferError, KafkaException) as error:
                self._on_unsent(error)
                sending.refused(ballot)

    def _ready(self) -> tuple[Producer, str]:
        if self._topic is None:
            raise LogUnavailable
        if self._fatal:
            self._renew()
        return self._producer, self._topic

    async def ping(self, timeout: float = 2.0) -> bool:
        """Whether Kafka answers."""
        return await self._loop.run_in_executor(None, self._answers, timeout)

    async def warm(self) -> None:
        """Makes the first vote as fast as the others: connections, metadata, the idempotent producer's id."""
        while not await self.ping():
            await asyncio.sleep(0.5)
        await asyncio.sleep(0.6)  # librdkafka asks for its producer id twice a second

    async def close(self, timeout: float = 5.0) -> None:
        """Waits for what is under way, then ends; what Kafka has not acknowledged by then is reported as such."""
        await self._loop.run_in_executor(None, self._producer.flush, timeout)
        self._producer.purge()
        self._stopped = True
        await self._loop.run_in_executor(None, self._thread.join)
        await self._loop.run_in_executor(None, self._producer.close)
        self._settle()

    def _answers(self, timeout: float) -> bool:
        try:
            self._producer.list_topics(timeout=timeout)
        except KafkaException:
            return False
        return True

    def _poll(self) -> None:
        while not self._stopped:
            self._serve(self._producer, 0.1)

    def _serve(self, producer: Producer, seconds: float) -> None:
        """Serves delivery reports. A fatal error is raised here; the reports go on coming all the same."""
        try:
            producer.poll(seconds)
        except KafkaException as error:
            if producer is self._producer:
                self._on_error(error.args[0])
            time.sleep(0.01)

    def _on_delivery(self, future: asyncio.Future[Position], error: KafkaError | None, message: Message) -> None:
        # In the poll thread. Appended before the flag is read, and the flag is cleared before the deque is emptied:
        # no wake-up is lost.
        self._delivered.append((future, error, message))
        if not self._woken:
            self._woken = True
            self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        self._woken = False
        delivered = self._delivered
        failed = 0
        while delivered:
            future, error, message = delivered.popleft()
            if future.done():
                continue
            if error is None:
                future.set_result(position_of(message, self._generations))
            else:
                failed += 1
                future.set_exception(LogUnavailable())
                last = error
        if failed:
            log.warning("votes were not acknowledged", votes=failed, error=str(last))

    def _on_unsent(self, error: BufferError | KafkaException) -> None:
        """The local queue is full, or the log refuses votes."""
        if isinstance(error, KafkaException):
            self._on_refusal(error.args[0])

    def _on_refusal(self, error: KafkaError) -> None:
        """A vote was not even queued. Said, and looked into, once a second: all the votes after it will be refused too.

        A broker that has just started may not know its topics yet, and librdkafka then believes for minutes that the
        topic is gone. To list all topics corrects that.
        """
        self._on_error(error)
        now = self._loop.time()
        if now >= self._look_again_at:
            self._look_again_at = now + _LOOK_AGAIN
            log.error("the log refuses votes", error=str(error))
            self._loop.run_in_executor(None, self._answers, ACK_SECONDS)

    def _on_error(self, error: KafkaError) -> None:
        if (error.fatal() or error.code() == KafkaError._FATAL) and not self._fatal:
            self._fatal = True
            log.error("the vote writer failed for good and is made anew", error=str(error))

    def _renew(self) -> None:
        """A fatal error ends an idempotent producer; what it held is reported as not acknowledged."""
        old = self._producer
        self._fatal = False
        self._producer = Producer(self._config)
        old.purge()
        threading.Thread(target=self._end, args=(old,), name="vote writer's end", daemon=True).start()

    def _end(self, producer: Producer) -> None:
        limit = time.monotonic() + ACK_SECONDS
        while len(producer) and time.monotonic() < limit:
            self._serve(producer, 0.1)


def _records(poll_id: str) -> Callable[[bytes, int], bytes]:
    """Makes the values of a poll's records of now, from ballots and options."""
    begin, end = b'{"poll":"%b","ballot":"' % poll_id.encode(), b'","at":%d}' % (time.time() * 1000)
    return lambda ballot, option: b'%b%b","option":"%d%b' % (begin, ballot.hex().encode(), option, end)
