"""Step 5 of 7, store: what the door asks PostgreSQL, without blocking the loop."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import psycopg_pool
from psycopg.rows import dict_row

from polling.core import polls as rules
from polling.core.errors import PollNotFound, StoreUnavailable, ValidationError
from polling.core.leaderboard import Leaderboard
from polling.core.polls import CreatePoll, Poll, Results
from polling.core.votes import VoteState, state
from polling.store.queries import query
from polling.store.rows import Generation, to_leaderboard, to_poll, to_results
from polling.telemetry import logger

log = logger(__name__)

_OVERLAP = timedelta(seconds=10)
_AWAY = (psycopg.OperationalError, psycopg.InterfaceError, psycopg_pool.PoolTimeout, psycopg_pool.PoolClosed)
_OPTIONS = (
    "-c statement_timeout=10000 -c lock_timeout=8000 -c idle_in_transaction_session_timeout=10000 -c timezone=UTC"
)
_PAUSE = 1.0  # seconds in which nobody asks, after PostgreSQL did not answer
_SAY_EVERY = 5.0

Connection = psycopg.AsyncConnection[dict[str, Any]]


class Store:
    """PostgreSQL as the door sees it. Every method raises `StoreUnavailable` while it is away."""

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

    async def create_poll(self, request: CreatePoll) -> tuple[Poll, str]:
        """Stores a checked request. Answers the poll and its admin token, of which only a hash is kept."""
        token, key, poll_id = rules.new_token(), secrets.token_bytes(32), rules.new_id()
        [row] = await self._rows(
            "create_poll",
            id=poll_id,
            question=request.question,
            options=request.options,
            one_vote_per=request.one_vote_per,
            allow_change=request.allow_change,
            listed=request.listed,
            closes_at=request.closes_at,
            key=key,
            admin_token_hash=rules.hash_token(token),
        )
        poll = Poll(
            number=row["number"],
            id=poll_id,
            question=request.question,
            options=tuple(request.options),
            one_vote_per=request.one_vote_per,
            allow_change=request.allow_change,
            listed=request.listed,
            created_at=row["created_at"].astimezone(UTC),
            closes_at=request.closes_at,
            closed=False,
            deleted=False,
            key=key,
            admin_token_hash=rules.hash_token(token),
        )
        return poll, token

    async def poll(self, poll_id: str) -> Poll | None:
        """The poll of this id, a deleted one too."""
        if "\0" in poll_id:
            return None
        rows = await self._rows("poll", id=poll_id)
        return to_poll(rows[0]) if rows else None

    async def polls_changed(self, since: datetime | None) -> tuple[list[Poll], datetime]:
        """All polls that changed since the mark of the call before (none at the first), and the new mark."""
        [row] = await self._rows("clock")
        changed = await self._rows("polls_changed", since=since) if since is not None else []
        return [to_poll(row) for row in changed], row["clock_timestamp"] - _OVERLAP

    async def results(self, polls: Sequence[Poll]) -> list[Results]:
        """How these polls stand, in any order."""
        return [to_results(row) for row in await self._rows("results", numbers=[poll.number for poll in polls])]

    async def list_polls(
        self, status: rules.Status | None, limit: int, cursor: str | None
    ) -> tuple[list[tuple[Poll, Results]], str | None]:
        """A page of the listed polls, newest first, and the next page's cursor: the last poll's id.

        Raises:
            ValidationError: the cursor is none of ours.
        """
        before = None
        if cursor is not None:
            found = await self._rows("poll_number", id=cursor) if "\0" not in cursor else []
            if not found:
                raise ValidationError.at("#/cursor", "This is no cursor of this list.")
            before = found[0]["number"]
        open_ = None if status is None else status == "open"
        rows = await self._rows("list_polls", before=before, open=open_, limit=limit + 1)
        page = [(to_poll(row), to_results(row)) for row in rows[:limit]]
        return page, page[-1][0].id if len(rows) > limit else None

    async def vote_state(self, poll: Poll, ballot: bytes) -> VoteState:
        """What became of a ballot so far."""
        [row] = await self._rows("vote_state", poll=poll.number, ballot=ballot.hex())
        rejected = list(zip(row["options"] or (), row["reasons"] or (), strict=True))
        return state(row["option"], rejected, row["revision"] or 0, keyed=poll.one_vote_per is None)

    async def close_poll(self, poll: Poll) -> Poll:
        """Closes a poll by hand; a closed one stays as it is.

        Raises:
            PollNotFound: it was deleted meanwhile.
        """
        await self._rows("announce_closing", number=poll.number)
        async with self._connection() as connection, connection.transaction():
            cursor = await connection.execute(query("lock_poll"), {"number": poll.number})
            row = await cursor.fetchone()
            if row is None or row["deleted"]:
                raise PollNotFound
            await connection.execute(query("keep_closed" if row["over"] else "close_poll"), {"number": poll.number})
        closed = await self.poll(poll.id)
        if closed is None:
            raise PollNotFound
        return closed

    async def delete_poll(self, poll: Poll) -> None:
        """Makes a poll a tombstone. A second call changes nothing."""
        await self._rows("announce_closing", number=poll.number)
        async with self._connection() as connection, connection.transaction():
            await connection.execute(query("lock_poll"), {"number": poll.number})
            await connection.execute(query("delete_poll"), {"number": poll.number})

    async def leaderboard(self, limit: int) -> Leaderboard:
        """The ranking as it stands now."""
        rows = await self._rows("leaderboard", limit=limit, floor=1)
        return to_leaderboard([tuple(row.values()) for row in rows], datetime.now(UTC))

    async def secret_key(self) -> str:
        """The key that signs cookies, made and kept where there is none."""
        await self._rows("make_secret", of="secret_key", value=secrets.token_urlsafe(32))
        [row] = await self._rows("secret", of="secret_key")
        return str(row["value"])

    async def generations(self) -> list[Generation]:
        """The topics of the vote log that are not retired, the newest last."""
        return [Generation(**row) for row in await self._rows("generations")]

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
