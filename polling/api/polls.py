"""Step 1 of 7, accept: polls over HTTP: create one, list them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast, get_args

from polling.api.answers import CreatedPoll, PollList, created_poll, poll_answer
from polling.api.base import Handler
from polling.api.body import JsonBody
from polling.api.routes import Operation, Parameter, Route
from polling.core.errors import (
    BadRequest,
    BodyTooLarge,
    RateLimited,
    StoreUnavailable,
    UnsupportedMediaType,
    ValidationError,
)
from polling.core.polls import CreatePoll, Results, Status, check
from polling.core.sight import NOBODY
from polling.telemetry import metrics

_create_poll = JsonBody(CreatePoll)


class PollsHandler(Handler):
    """`/api/polls`."""

    async def get(self) -> None:
        status = _status(self.get_query_argument("status", None))
        limit = self.whole_number("limit", 1, 100, default=50)
        cursor = self.get_query_argument("cursor", None)
        page, next_cursor = await self.services.store.list_polls(status, limit, cursor)
        polls = [poll_answer(poll, results, shown=NOBODY.sees(poll, results.closed)) for poll, results in page]
        self.answer(200, PollList(polls, next_cursor))

    async def post(self) -> None:
        self.limit(self.services.limits.polls)
        request = check(self.read_body(_create_poll), datetime.now(UTC))
        poll, admin_token = await self.services.store.create_poll(request)
        metrics.polls_created.inc()
        self.services.book.put(poll)
        await self.services.live.remember_poll(poll)
        # A new poll stands where every poll begins; asking for it would be one more chance to fail after the fact.
        results = Results(poll.id, 0, (0,) * len(poll.options), "open", final=False)
        self.answer(201, created_poll(poll, results, admin_token), Location=f"/api/polls/{poll.id}")


def _status(text: str | None) -> Status | None:
    if text is None:
        return None
    for status in get_args(Status):
        if text == status:
            return cast(Status, status)
    raise ValidationError.at("#/status", "`status` is open or closed.")


_EXAMPLE = {"question": "What is your favorite programming language?", "options": ["JavaScript", "Python", "Java"]}

ROUTES = [
    Route(
        "/api/polls",
        PollsHandler,
        (
            Operation(
                "post",
                "Create a poll",
                {201: ("The poll, and its admin token", CreatedPoll)},
                body=CreatePoll,
                example=_EXAMPLE,
                errors=(
                    BadRequest,
                    BodyTooLarge,
                    UnsupportedMediaType,
                    ValidationError,
                    RateLimited,
                    StoreUnavailable,
                ),
            ),
            Operation(
                "get",
                "List polls",
                {200: ("A page of the listed polls, newest first", PollList)},
                parameters=(
                    Parameter("status", "query", "Only these.", {"type": "string", "enum": ["open", "closed"]}),
                    Parameter("limit", "query", "How many.", {"type": "integer", "minimum": 1, "maximum": 100}, 50),
                    Parameter("cursor", "query", "The `next_cursor` of the page before."),
                ),
                errors=(ValidationError, StoreUnavailable),
            ),
        ),
    ),
]
