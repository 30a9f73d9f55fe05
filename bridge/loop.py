"""Step 3 of 7, log to task: the bridge's loop: reads the log, hands batches to Celery, keeps a window in flight.

A batch leaves the window only when PostgreSQL holds it; what is not done in time is handed out again. So nothing
between the log and the database needs to be trusted.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from confluent_kafka import KafkaException

from bridge.flights import Flight, Window
from bridge.folding import is_covered, set_back
from bridge.gathering import Gatherer
from bridge.log_state import LogState
from bridge.progress import Progress
from bridge.reader import Reader
from polling.core.votes import Covered, Slice
from polling.telemetry import logger, metrics

log = logger(__name__)

Send = Callable[[bytes, dict[str, str]], None]
"""Hands an encoded batch to Celery, with the topics' names by generation; raises `SendFailed`."""

_SHOW_EVERY = 1.0
_IDLE = 0.1  # seconds that a read waits when nothing is under way: Kafka answers as soon as there is a record
_BUSY = 0.005  # the same while something may land meanwhile
_RETRY = 1.0
_PACE = 5e-6  # seconds between small batches for each vote a second: 2.5 ms at 500, 50 ms from 10,000 on
_SLOWEST_PACE = 0.05
_SMOOTHING = 0.3  # how much the newest batch says about the rate
_HOLD_AFTER = 3.0
_DRAIN = 6.0  # seconds that a stop waits for the window


class SendFailed(Exception):
    """Celery's broker did not take the batch."""


class Bridge:
    """One bridge. `encode` makes a batch's message; small batches wait for more while `eager` ones are in flight."""

    def __init__(
        self,
        progress: Progress,
        reader: Reader,
        gatherer: Gatherer,
        window: Window,
        *,
        encode: Callable[[list[Slice]], bytes],
        send: Send,
        batch_records: int,
        batch_bytes: int,
        window_size: int,
        eager: int = 2,
    ) -> None:
        self._progress = progress
        self._reader = reader
        self._gatherer = gatherer
        self._window = window
        self._encode = encode
        self._send = send
        self._batch_records = batch_records
        self._batch_bytes = batch_bytes
        self._window_size = window_size
        self._eager = eager
        self._stopping = False
        self._rate = 0.0
        self._dispatched = float("-inf")
        self._shown = 0.0
        self._reads = -1
        self._full_since: float | None = None
        self._misread: LogState | None = None

    def stop(self) -> None:
        """Ends `run` soon; may be called from a signal handler."""
        self._stopping = True

    def not_ready(self) -> list[str]:
        """What keeps the bridge from its work, for `/readyz`."""
        state = self._progress.known.log_state
        away = [] if self._progress.reachable else ["postgres"]
        return [*away, *state.complaints]

    def run(self) -> None:
        """Until `stop`: then waits for the batches in flight, as long as that takes a few seconds."""
        while not self._stopping:
            try:
                self._turn()
            except KafkaException as error:
                log.error("the consumer failed and is made anew", error=str(error))
                self._reader.leave()
                time.sleep(_RETRY)
        limit = time.monotonic() + _DRAIN
        while len(self._window) and time.monotonic() < limit:
            self._land()
            self._reader.hold()
            time.sleep(_BUSY)
        log.info("bridge stops", batches_in_flight=len(self._window))

    def _turn(self) -> None:
        now = time.monotonic()
        if self._progress.failure is not None:
            raise self._progress.failure
        self._follow_log_state()
        self._land()
        for flight in self._window.due(now) if self._progress.reachable else ():
            self._hand_out(flight)
        if self._has_room():
            self._full_since = None
            self._reader.go_on()
            waiting = self._gatherer.waiting or len(self._window)
            self._reader.read(_BUSY if waiting else _IDLE, self._batch_records)
        else:
            self._wait_for_room(now)
        while self._may_dispatch():
            self._dispatch()
        if now - self._shown >= _SHOW_EVERY:
            self._shown = now
            metrics.batches_in_flight.set(len(self._window))
            self._reader.show_progress()

    def _follow_log_state(self) -> None:
        topics = dict(self._progress.known.log_state.topics)
        if topics != self._reader.topics:
            self._reader.subscribe(topics)
        elif self._reader.out_of_range and self._progress.known.log_state is not self._misread:
            self._misread = self._progress.known.log_state  # once for each look at the log
            self._read_again()

    def _land(self) -> None:
        heard = self._progress.heard
        if heard:
            self._window.hear({heard.popleft() for _ in range(len(heard))})
        known = self._progress.known
        if known.reads == self._reads:
            return
        self._reads = known.reads
        self._window.land(lambda wanted: is_covered(wanted, known.frontiers, known.covered))
        gone = set_back(self._gatherer.handed, known.frontiers, known.covered, self._window.ranges)
        if gone:
            log.error(
                "PostgreSQL holds less than it did, as after a restored backup: the log is read again from there",
                partitions=[f"{generation}/{partition}" for generation, partition in gone],
            )
            self._read_again()

    def _read_again(self) -> None:
        """Every partition from the frontier on, as if the bridge had just started."""
        topics = self._reader.topics
        self._reader.subscribe({})
        self._reader.subscribe(topics)

    def _wait_for_room(self, now: float) -> None:
        """Does not read for a moment. From a few seconds on it pauses the partitions to stay in the group; not at once,
        for librdkafka throws away what it has fetched of a partition that is paused."""
        self._full_since = self._full_since or now
        if now - self._full_since > _HOLD_AFTER:
            self._reader.hold()
        time.sleep(_BUSY)

    def _has_room(self) -> bool:
        return self._gatherer.records < 2 * self._batch_records and self._gatherer.bytes < 2 * self._batch_bytes

    def _may_dispatch(self) -> bool:
        if not self._gatherer.waiting or self._window.flying >= self._window_size or not self._progress.reachable:
            return False
        full = self._gatherer.records >= self._batch_records or self._gatherer.bytes >= self._batch_bytes
        return full or (self._window.flying < self._eager and time.monotonic() - self._dispatched >= self._pace())

    def _pace(self) -> float:
        """Seconds between two batches that are not full: next to none at a low rate, where a voter waits for each; at
        a high one enough to gather many votes, because a batch costs as much as dozens of them."""
        return min(_SLOWEST_PACE, self._rate * _PACE)

    def _dispatch(self) -> None:
        slices = self._gatherer.take(self._batch_records, self._batch_bytes)
        ranges = [Covered(part.generation, part.partition, part.first, part.next) for part in slices]
        records = sum(len(part.offsets) for part in slices)
        now = time.monotonic()
        self._rate += _SMOOTHING * (records / max(now - self._dispatched, 0.001) - self._rate)
        self._dispatched = now
        self._hand_out(self._window.add(ranges, self._encode(slices), records, now))

    def _hand_out(self, flight: Flight) -> None:
        topics = {str(generation.number): topic for topic, generation in self._reader.topics.items()}
        again = flight.attempts > 0
        try:
            self._send(flight.message, topics)
        except SendFailed as error:
            log.warning("batch not handed out", error=str(error), records=flight.records)
            self._window.delay(flight, time.monotonic(), _RETRY)
            return
        self._window.sent(flight, time.monotonic())
        (metrics.batches_dispatched_again if again else metrics.batches_dispatched).inc()
        if again:
            log.warning("batch handed out again", attempt=flight.attempts, records=flight.records)
