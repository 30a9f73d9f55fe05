"""Step 5 of 7, store: what the door asks PostgreSQL, without blocking the loop."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime, timedelta

from polling.core import polls as rules
from polling.core.errors import ValidationError
from polling.core.leaderboard import Leaderboard
from polling.core.polls import CreatePoll, Poll, Results
from polling.core.series import Point
from polling.core.votes import VoteState, state
from polling.store.changing import Changing
from polling.store.rows import Generation, StoredBallot, to_leaderboard, to_poll, to_results

_OVERLAP = timedelta(seconds=10)


class Store(Changing):
    """PostgreSQL as the door sees it. Every method raises `StoreUnavailable` while it is away."""

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
            results_visible=request.results_visible,
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
            results_visible=request.results_visible,
        )
        return poll, token

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

    async def series(self, poll: Poll, step: int) -> list[Point]:
        """How the poll stood over time, at most once in each `step` of seconds, in order."""
        rows = await self._rows("series", poll=poll.number, step=step)
        return [Point(row["at"].astimezone(UTC), row["counts"]) for row in rows]

    async def ballots(self, poll: Poll, page: int = 1000) -> AsyncGenerator[list[StoredBallot], None]:
        """Every ballot of a poll, in pages, each a query of its own: what is counted meanwhile may be there or not.

        Nothing is held between two pages, however long the next one is not asked for.
        """
        first = 0
        while True:
            parameters = {"poll": poll.number, "first": f"{first:032x}", "limit": page}
            found = [
                StoredBallot(row["ballot"].bytes, row["option"], row["cast_at"].astimezone(UTC))
                for row in await self._rows("ballots_from", **parameters)
            ]
            yield found
            if len(found) < page:
                return
            first = int.from_bytes(found[-1].ballot) + 1

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
