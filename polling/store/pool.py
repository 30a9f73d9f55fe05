"""Step 5 of 7, store: the door's connections to PostgreSQL, and what it says where PostgreSQL is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import psycopg_pool
from psycopg.rows import dict_row

from polling.core.errors import StoreUnavailable
from polling.store.queries import query
from polling.telemetry import logger

log = logger(__name__)

_AWAY = (psycopg.OperationalError, psycopg.InterfaceError, psycopg_pool.PoolTimeout, psycopg_pool.PoolClosed)
_OPTIONS = (
    "-c statement_timeout=10000 -c lock_timeout=8000 -c idle_in_transaction_session_timeout=10000 -c timezone=UTC"
)
_PAUSE = 1.0  # seconds in which nobody asks, after PostgreSQL did not answer
_SAY_EVERY = 5.0

Connection = psycopg.AsyncConnection[dict[str, Any]]


class Pool:
    """Some connections, made when needed. Every question raises `StoreUnavailable` while PostgreSQL is away."""

    def __init__(self, database_url: str, connections: int = 8) -> None:
        self._pool: psycopg_pool.AsyncConnectionPool[Connection] = psycopg_pool.AsyncConnectionPool(
            database_url,
            connection_class=psycopg.AsyncConnection[dict[str, Any]],
            kwargs={
                "row_factory": dict_row,
                "autocommit": True,
                "options": _OPTIONS,
                "connect_timeout": 5,
                "tcp_user_timeout": 10_000,
                "keepalives_idle": 5,
            },
            min_size=1,
            max_size=connections,
            timeout=3.0,
            reconnect_timeout=float("inf"),
            open=False,
        )
        self._away_until = 0.0
        self._said = float("-inf")

    async def open(self) -> None:
        """Begins to connect; does not wait until it has."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        await self._pool.close(timeout=2.0)

    async def ping(self) -> None:
        """Returns where PostgreSQL answers."""
        await self._rows("clock")

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        loop = asyncio.get_running_loop()
        if loop.time() < self._away_until:
            raise StoreUnavailable
        try:
            async with self._pool.connection() as connection:
                yield connection
        except _AWAY as error:
            if isinstance(error, psycopg_pool.PoolTimeout | psycopg.InterfaceError) or _lost(error):
                self._away_until = loop.time() + _PAUSE
            if loop.time() - self._said >= _SAY_EVERY:
                self._said = loop.time()
                log.warning("PostgreSQL did not answer", error=type(error).__name__)
            raise StoreUnavailable from error

    async def _rows(self, name: str, **parameters: Any) -> list[dict[str, Any]]:
        async with self._connection() as connection:
            cursor = await connection.execute(query(name), parameters)
            return await cursor.fetchall() if cursor.description else []


def _lost(error: Exception) -> bool:
    """Whether the connection is gone, as against one statement that took too long."""
    return getattr(error, "sqlstate", None) in (None, "57P01", "57P02", "57P03")
