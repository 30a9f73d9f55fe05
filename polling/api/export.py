"""Step 7 of 7, show: a poll as a file: its results, or every ballot that counts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime

from tornado.iostream import StreamClosedError

from polling import telemetry
from polling.api.answers import ExportAnswer, ExportedBallot, encode, poll_answer
from polling.api.base import Handler
from polling.api.routes import ADMIN, POLL_ID, Operation, Parameter, Route
from polling.api.series import series_of
from polling.api.sight import VOTE, require_sight
from polling.api.stream import DoorStream
from polling.core import ballots, sheets
from polling.core.errors import (
    PollNotFound,
    ResultsHidden,
    StoreUnavailable,
    TokenMissing,
    TokenWrong,
    ValidationError,
)
from polling.core.polls import Poll, Results
from polling.store.rows import StoredBallot

log = telemetry.logger(__name__)

FORMATS = ("json", "csv")
SUBJECTS = ("results", "ballots")

_CSV = "text/csv; charset=utf-8"
_LINES = "application/x-ndjson; charset=utf-8"
_RESULTS = ("question", "option_id", "option", "votes", "share", "total_votes", "status", "final")
_TIMES = ("created_at", "closes_at", "exported_at")
_BALLOTS = ("vote_id", "option_id", "option", "logged_at")


class ExportHandler(Handler):
    """`/api/polls/{id}/export`."""

    async def get(self, poll_id: str) -> None:
        form = self._choice("format", FORMATS)
        subject = self._choice("of", SUBJECTS)
        poll = await self.services.book.get(poll_id)
        if subject == "ballots":
            self.require_admin(poll)
            await self._send_ballots(poll, form)
            return
        results = await self.services.results.get(poll)
        require_sight(self, poll, results)
        self._name(f"poll-{poll.id}.{form}")
        now = datetime.now(UTC)
        if form == "csv":
            self.set_header("Content-Type", _CSV)
            self.finish(_sheet(poll, results, now))
            return
        self.answer(
            200, ExportAnswer(now, poll_answer(poll, results, shown=True), await series_of(self, poll, results))
        )

    def _choice(self, name: str, choices: Sequence[str]) -> str:
        """One of these, the first where none is named. Raises ValidationError."""
        text = self.get_query_argument(name, choices[0])
        if text not in choices:
            raise ValidationError.at(f"#/{name}", f"`{name}` is {' or '.join(choices)}.")
        return text

    def _name(self, file: str) -> None:
        self.set_header("Content-Disposition", f'attachment; filename="{file}"')

    async def _send_ballots(self, poll: Poll, form: str) -> None:
        """One page after the other, each when the peer has taken the one before: memory is that of a page."""
        stream = getattr(self.request.connection, "stream", None)
        async with aclosing(self.services.store.ballots(poll)) as pages:
            page = await anext(pages)  # while an error still can be answered
            self._name(f"poll-{poll.id}-ballots.{'csv' if form == 'csv' else 'ndjson'}")
            self.set_header("Content-Type", _CSV if form == "csv" else _LINES)
            if form == "csv":
                self.write(sheets.BOM + sheets.lines([_BALLOTS]))
            try:
                await self._send(_ballots(poll, page, form), stream)
                async for page in pages:
                    await self._send(_ballots(poll, page, form), stream)
            except StreamClosedError:
                return  # the peer has gone, and needs no more
            except StoreUnavailable:
                # What is there already looks whole unless the connection breaks.
                log.warning("an export was broken off, PostgreSQL is away", poll=poll.id)
                if stream is not None:
                    stream.close()
                return
        self.finish()

    async def _send(self, lines: bytes, stream: object) -> None:
        """Returns when the peer's kernel has taken it, and others had their turn. Raises StreamClosedError."""
        self.write(lines)
        await self.flush()
        if isinstance(stream, DoorStream):
            await stream.taken()
        await asyncio.sleep(0)


def _sheet(poll: Poll, results: Results, now: datetime) -> bytes:
    """The results as CSV: a line for each option."""
    total = results.total
    closes_at = poll.closes_at and poll.closes_at.isoformat()
    rows = [
        (
            poll.question,
            option_id,
            text,
            votes,
            round(part, 6),
            total,
            results.status,
            str(results.final).lower(),
            poll.created_at.isoformat(),
            closes_at,
            now.isoformat(timespec="milliseconds"),
        )
        for option_id, text, votes, part in results.of_options(poll)
    ]
    return sheets.BOM + sheets.lines([_RESULTS + _TIMES, *rows])


def _ballots(poll: Poll, page: list[StoredBallot], form: str) -> bytes:
    """A line for each ballot."""
    found = [
        ExportedBallot(
            ballots.vote_id(poll.key, one.ballot), str(one.option), poll.options[one.option - 1], one.logged_at
        )
        for one in page
    ]
    if form == "csv":
        # One vote id in 64 begins with a hyphen, and gets an apostrophe. Programs had better read the other form.
        return sheets.lines([(one.vote_id, one.option_id, one.option, one.logged_at.isoformat()) for one in found])
    return b"".join(encode(one) + b"\n" for one in found)


ROUTES = [
    Route(
        "/api/polls/{id}/export",
        ExportHandler,
        (
            Operation(
                "get",
                "Keep a poll as a file",
                {200: ("An attachment", ExportAnswer)},
                description=(
                    "The results, for whoever may see them. `of=ballots`, with the admin token: a line for each ballot "
                    "that counts, as CSV or as NDJSON; it is sent as it is read, and ends early only by a broken "
                    "connection."
                ),
                parameters=(
                    POLL_ID,
                    Parameter("format", "query", "As which file.", {"type": "string", "enum": list(FORMATS)}, "json"),
                    Parameter("of", "query", "What of it.", {"type": "string", "enum": list(SUBJECTS)}, "results"),
                    VOTE,
                    ADMIN,
                ),
                errors=(PollNotFound, TokenMissing, TokenWrong, ResultsHidden, ValidationError, StoreUnavailable),
                other_media=("text/csv", "application/x-ndjson"),
            ),
        ),
    )
]
