"""Steps 4 to 6 of 7: what a worker process keeps between tasks. Each process makes its own, after any fork."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

import psycopg

from polling.live import LivePublisher
from polling.settings import Settings
from polling.store.counting import CountingConnection
from polling.vote_log import Topics
from tasks.dead_letters import DeadLetters
from tasks.recording import Recorder

T = TypeVar("T")

_OPTIONS = (
    "-c statement_timeout=30000 -c lock_timeout=5000 -c idle_in_transaction_session_timeout=10000 -c timezone=UTC"
)


class Resources:
    """Connections of this process, made when first asked for."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._made: dict[str, object] = {}
        self._pid = 0

    @property
    def recorder(self) -> Recorder:
        return self._once(
            "recorder",
            lambda: Recorder(CountingConnection(self._settings.database_url), DeadLetters(self._settings.kafka_broker)),
        )

    @property
    def publisher(self) -> LivePublisher:
        return self._once("publisher", lambda: LivePublisher(self._settings.redis_url))

    @property
    def topics(self) -> Topics:
        return self._once("topics", lambda: Topics(self._settings.kafka_broker))

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        """A connection for the periodic tasks, kept while it works."""
        kept = self._once("connection", self._new_connection)
        if kept.closed:
            self._made["connection"] = kept = self._new_connection()
        return kept

    def _new_connection(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            self._settings.database_url,
            autocommit=True,
            connect_timeout=5,
            tcp_user_timeout=10_000,
            keepalives_idle=5,
            options=_OPTIONS,
        )

    def _once(self, name: str, make: Callable[[], T]) -> T:
        if self._pid != os.getpid():
            self._made, self._pid = {}, os.getpid()
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]  # type: ignore[return-value]
