"""Chaos: what an operator would watch: votes accepted, votes counted and the log's lag, once a second."""

from __future__ import annotations

import threading
import time
from typing import NamedTuple

import psycopg
from confluent_kafka import KafkaException

from chaos import readings
from chaos.arena import Arena
from chaos.history import History

_EVERY = 1.0
_LAG_EVERY = 3


class Sample(NamedTuple):
    """`at` in seconds after the beginning; sums since then; None where nobody could be asked."""

    at: float
    operations: int
    counted: int | None
    lag: int | None


class Sampler:
    """Samples in a thread of its own until `stop`."""

    def __init__(self, arena: Arena, history: History) -> None:
        self._arena = arena
        self._history = history
        self._ended = threading.Event()
        self.samples: list[Sample] = []
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join(60)

    def _run(self) -> None:
        lag: int | None = None
        turn = 0
        while not self._ended.wait(_EVERY):
            counted: int | None = None
            turn += 1
            try:
                with psycopg.connect(self._arena.database_url, connect_timeout=2, autocommit=True) as connection:
                    row = connection.execute("SELECT coalesce(sum(total), 0)::bigint FROM tallies").fetchone()
                    counted = row[0] if row else None
                    if turn % _LAG_EVERY == 0:
                        lag = readings.lag(connection, self._arena.broker, patience=2)
            except (psycopg.Error, KafkaException):
                lag = None  # somebody is away, which is the point of the run; the picture has a gap there
            self.samples.append(Sample(time.monotonic() - self._history.began, len(self._history), counted, lag))
