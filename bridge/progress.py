"""Step 3 of 7, log to task: what PostgreSQL holds, kept at hand for the reading loop by a thread of its own.

A notification is a hint only: it tells the loop that a worker is free again, and makes the thread read, ten times a
second at the most. It reads as well at each (re)connect and every second. It folds counted ranges into the frontier.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import deque
from collections.abc import Mapping

import psycopg
from confluent_kafka import KafkaException

from bridge.folding import fold
from bridge.log_state import LogState, inspect
from polling.core.votes import Covered
from polling.store.frontier import FrontierStore, Place
from polling.store.rows import Generation
from polling.telemetry import logger, metrics
from polling.vote_log import Topics

log = logger(__name__)

_FOLD_EVERY = 0.1
_READ_EVERY = 1.0
_INSPECT_EVERY = 5.0
_RETRY = 1.0
_MISSING = 8.0  # seconds after which a topic that Kafka does not know is missing; one that has just started may lag


UNASKED = LogState({}, ("PostgreSQL and Kafka were not asked yet.",), ())


@dataclasses.dataclass(frozen=True)
class Known:
    """What was true in PostgreSQL at some moment, and stays true: what is counted stays counted."""

    frontiers: Mapping[Place, int] = dataclasses.field(default_factory=dict)
    covered: tuple[Covered, ...] = ()
    log_state: LogState = UNASKED
    reads: int = 0


class Progress:
    """Owns the bridge's connection to PostgreSQL. `known` may be read by any thread; `heard` has the ranges that were
    notified and are not in `known` yet, for the reading loop to take out."""

    def __init__(self, database_url: str, kafka: Topics) -> None:
        self._url = database_url
        self._kafka = kafka
        self._store: FrontierStore | None = None
        self.known = Known()
        self.reachable = False
        self._stopped = threading.Event()
        self.heard: deque[Covered] = deque()
        self._last_inspected = self._last_read = float("-inf")
        self._unread = False
        self._missing_since: float | None = None
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Folds once more, and ends."""
        self._stopped.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        try:
            self._listen_for_ever()
        except Exception as error:
            log.exception("progress is not followed any more")
            self.failure = error
        finally:
            self._end()

    def _listen_for_ever(self) -> None:
        while not self._stopped.is_set():
            try:
                if self._store is None:
                    self._store = FrontierStore(self._url)
                    self._store.listen()
                    self._last_inspected = float("-inf")
                    self._read()
                self._listen()
            except psycopg.Error as error:
                self._lose(error)

    def _listen(self) -> None:
        """Passes on what is heard, and reads soon after it, or after a second of silence."""
        assert self._store is not None
        since = time.monotonic() - self._last_read
        heard = self._store.hear(max(0.0, (_FOLD_EVERY if self._unread else _READ_EVERY) - since))
        if heard is None or heard:
            self._unread = True
            self.heard.extend(heard or ())
        since = time.monotonic() - self._last_read
        if since >= (_FOLD_EVERY if self._unread else _READ_EVERY):
            self._read()

    def _lose(self, error: Exception) -> None:
        if self.reachable or self._store is None:
            log.warning("waiting for PostgreSQL", error=type(error).__name__)
        self.reachable = False
        if self._store is not None:
            self._store.close()
            self._store = None
        self._stopped.wait(_RETRY)

    def _read(self) -> None:
        assert self._store is not None
        now = self._last_read = time.monotonic()
        self._unread = False
        generations = None
        if now - self._last_inspected >= _INSPECT_EVERY:
            generations = self._store.generations()  # before the frontiers: a new one has its own there
        covered = self._store.covered()  # before them, too: what another bridge folds meanwhile shows there
        frontiers = self._store.frontiers()
        moved = fold(frontiers, covered)
        if moved:
            self._store.advance(moved)
        frontiers.update(moved)
        log_state = self.known.log_state
        if generations is not None:
            log_state = self._inspect(generations, frontiers)
            self._last_inspected = now
        self.known = Known(frontiers, tuple(covered), log_state, self.known.reads + 1)
        self.reachable = True

    def _inspect(self, generations: list[Generation], frontiers: Mapping[Place, int]) -> LogState:
        assert self._store is not None
        try:
            state = inspect(self._kafka, generations, frontiers, self._store.topics_ever())
        except KafkaException as error:
            log.warning("waiting for Kafka", error=str(error.args[0]))
            return self.known.log_state
        if not state.missing:
            self._missing_since = None
        elif self._missing_since is None or time.monotonic() - self._missing_since < _MISSING:
            self._missing_since = self._missing_since or time.monotonic()
            log.warning("waiting for Kafka", topics=state.missing)
            return self.known.log_state
        # What was counted while Kafka was asked may have been deleted by then, as it should.
        counted = self._store.frontiers() if state.lost else {}
        for lost in (one for one in state.lost if counted.get((one.generation, one.partition), 0) < one.next):
            self._store.record_lost(lost)
            log.error(
                "the log lost records before they were counted",
                generation=lost.generation,
                partition=lost.partition,
                offset=lost.first,
                records=lost.next - lost.first,
            )
        metrics.lost_records.set(sum(lost.next - lost.first for lost in self._store.lost()))
        if state.complaints != self.known.log_state.complaints:
            for complaint in state.complaints:
                log.error("the vote log is not read", why=complaint)
        return state

    def _end(self) -> None:
        try:
            if self._store is not None:
                self._read()
                self._store.close()
        except psycopg.Error as error:
            log.warning("stopped without a last fold", error=type(error).__name__)
