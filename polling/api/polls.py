"""Step 1 of 7, accept: polls over HTTP: create, list, read, close, delete."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast, get_args

from polling.api.answers import CreatedPoll, PollAnswer, PollList, created_poll, poll_answer
from polling.api.base import Handler
from polling.api.body import JsonBody
from polling.api.etags import matches
from polling.api.routes import ADMIN, POLL_ID, Operation, Parameter, Route
from polling.core.errors import (
    BadRequest,
    BodyTooLarge,
    PollNotFound,
    RateLimited,
    StoreUnavailable,
    TokenMissing,
    TokenWrong,
    UnsupportedMediaType,
    ValidationError,
)
from polling.core.polls import CreatePoll, Poll, Results, Status, check
from polling.telemetry import metrics

_create_poll = JsonBody(CreatePoll)


class PollsHandler(Handler):
    """`/api/polls`."""

    async def get(self) -> None:
        status = _status(self.get_query_argument("status", None))
        limit = self.whole_number("limit", 1, 100, default=50)
        cursor = self.get_query_argument("cursor", None)
        page, next_cursor = await self.services.store.list_polls(status, limit, cursor)
        self.answer(200, PollList([poll_answer(poll, results) for poll, results in page], next_cursor))

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


class PollHandler(Handler):
    """`/api/polls/{id}`."""

    async def get(self, poll_id: str) -> None:
        poll = await self.services.book.get(poll_id)
        results = await self.services.results.get(poll)
        etag = f'"{results.revision}"'
        self.set_header("ETag", etag)
        self.set_header("Cache-Control", "no-cache")
        if results.settled and matches(self.request.headers.get("If-None-Match"), etag):
            self.set_status(304)
            self.clear_header("Content-Type")
            self.finish()
            return
        self.answer(200, poll_answer(poll, results))

    async def delete(self, poll_id: str) -> None:
        services = self.services
        poll = await services.book.get(poll_id)
        self.require_admin(poll)
        await services.store.delete_poll(poll)
        await _changed(self, poll_id)
        self.set_status(204)
        self.clear_header("Content-Type")
        self.finish()


class CloseHandler(Handler):
    """`/api/polls/{id}/close`."""

    async def post(self, poll_id: str) -> None:
        services = self.services
        poll = await services.book.get(poll_id)
        self.require_admin(poll)
        closed = await services.store.close_poll(poll)
        await _changed(self, poll_id, closed)
        results = await services.results.get(closed)
        await services.live.publish_results([results])
        self.answer(200, poll_answer(closed, results))


def _status(text: str | None) -> Status | None:
    if text is None:
        return None
    for status in get_args(Status):
        if text == status:
            return cast(Status, status)
    raise ValidationError.at("#/status", "`status` is open or closed.")


async def _changed(handler: Handler, poll_id: str, poll: Poll | None = None) -> None:
    """Has everybody in this process see what was just done to a poll."""
    services = handler.services
    poll = poll or await services.store.poll(poll_id)
    services.results.forget(poll_id)
    if poll is not None:
        services.book.put(poll)
        await services.live.remember_poll(poll)


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
    Route(
        "/api/polls/{id}",
        PollHandler,
        (
            Operation(
                "get",
                "Read a poll and its results",
                {200: ("The poll; `ETag` is its revision", PollAnswer), 304: ("It is as you know it", None)},
                parameters=(POLL_ID, Parameter("If-None-Match", "header", "The `ETag` that you know.")),
                errors=(PollNotFound, StoreUnavailable),
            ),
            Operation(
                "delete",
                "Delete a poll",
                {204: ("It is gone", None)},
                parameters=(POLL_ID, ADMIN),
                errors=(PollNotFound, TokenMissing, TokenWrong, StoreUnavailable),
                admin=True,
            ),
        ),
    ),
    Route(
        "/api/polls/{id}/close",
        CloseHandler,
        (
            Operation(
                "post",
                "Close a poll",
                {200: ("The poll, closed", PollAnswer)},
                parameters=(POLL_ID, ADMIN),
                errors=(PollNotFound, TokenMissing, TokenWrong, StoreUnavailable),
                admin=True,
            ),
        ),
    ),
]
