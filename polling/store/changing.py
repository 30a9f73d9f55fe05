"""Step 5 of 7, store: what is done to a poll by whoever made it: closed, opened again, changed, deleted.

Each is done under the poll's lock, which no counting statement holds then: so that a batch is judged by how the poll
was before, or by how it is after, and never by both.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from msgspec import UNSET

from polling.core.changes import ChangePoll
from polling.core.errors import Conflict, PollClosed, PollFinal, PollHasVotes, PollNotFound
from polling.core.polls import Poll
from polling.store.pool import Connection, Pool
from polling.store.queries import query
from polling.store.rows import to_poll


class Changing(Pool):
    """Every method raises `StoreUnavailable` while PostgreSQL is away, and changes nothing then."""

    async def poll(self, poll_id: str) -> Poll | None:
        """The poll of this id, a deleted one too."""
        if "\0" in poll_id:
            return None
        rows = await self._rows("poll", id=poll_id)
        return to_poll(rows[0]) if rows else None

    async def close_poll(self, poll: Poll) -> Poll:
        """Closes a poll by hand; a closed one stays as it is.

        Raises:
            PollNotFound: it was deleted meanwhile.
        """
        async with self._locked(poll) as (connection, standing):
            if not standing["over"]:
                await connection.execute(query("close_poll"), {"number": poll.number})
        return await self._again(poll)

    async def reopen_poll(self, poll: Poll, closes_at: datetime | None) -> Poll:
        """Takes a poll's closing back; an open one stays as it is. What came while it was closed stays too late.

        Raises:
            PollFinal: it is too late for that.
            PollNotFound: it was deleted meanwhile.
        """
        async with self._locked(poll) as (connection, standing):
            final = standing["final"]
            if standing["over"] and not final:
                await connection.execute(query("reopen_poll"), {"number": poll.number, "closes_at": closes_at})
        if final:
            raise PollFinal
        return await self._again(poll)

    async def change_poll(self, poll: Poll, change: ChangePoll) -> Poll:
        """Changes what `change` names.

        Raises:
            PollHasVotes: options were named, and a vote is counted.
            PollClosed: a time was named, and the poll's own has come, by this clock or by the log's.
            PollNotFound: it was deleted meanwhile.
        """
        refused: Conflict | None = None
        async with self._locked(poll) as (connection, standing):
            cursor = await connection.execute(query("votes_so_far"), {"number": poll.number})
            [votes] = await cursor.fetchall()
            timed = change.closes_at is not UNSET
            if change.options is not UNSET and votes["any"]:
                refused = PollHasVotes()
            elif timed and (standing["over"] or votes["too_late"]):
                refused = PollClosed("This poll's time is over. It may be opened again, while it is not final.")
            else:
                values: dict[str, Any] = {
                    "question": None if change.question is UNSET else change.question,
                    "options": None if change.options is UNSET else change.options,
                    "results_visible": None if change.results_visible is UNSET else change.results_visible,
                    "closes_at": None if change.closes_at is UNSET else change.closes_at,
                    "timed": timed,
                }
                await connection.execute(query("change_poll"), {"number": poll.number, **values})
        if refused is not None:
            raise refused
        return await self._again(poll)

    async def delete_poll(self, poll: Poll) -> None:
        """Makes a poll a tombstone. A second call changes nothing."""
        await self._rows("announce_closing", number=poll.number)
        async with self._connection() as connection, connection.transaction():
            await connection.execute(query("lock_poll"), {"number": poll.number})
            await connection.execute(query("delete_poll"), {"number": poll.number})

    @asynccontextmanager
    async def _locked(self, poll: Poll) -> AsyncIterator[tuple[Connection, dict[str, Any]]]:
        """A transaction that holds the poll's lock, and how the poll stands in it. Raises PollNotFound.

        The word that makes others queue is taken back at its end, whatever was done.
        """
        await self._rows("announce_closing", number=poll.number)
        async with self._connection() as connection, connection.transaction():
            cursor = await connection.execute(query("lock_poll"), {"number": poll.number})
            standing = await cursor.fetchone()
            if standing is None or standing["deleted"]:
                raise PollNotFound
            yield connection, standing
            await connection.execute(query("withdraw_closing"), {"number": poll.number})

    async def _again(self, poll: Poll) -> Poll:
        """The poll as it is now. Raises PollNotFound."""
        found = await self.poll(poll.id)
        if found is None:
            raise PollNotFound
        return found
