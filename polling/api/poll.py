"""Step 1 of 7, accept: one poll over HTTP: read, change, close, open again, delete."""

from __future__ import annotations

from datetime import UTC, datetime

from polling.api.answers import PollAnswer, poll_answer
from polling.api.base import Handler
from polling.api.body import JsonBody
from polling.api.etags import matches
from polling.api.routes import ADMIN, POLL_ID, Operation, Parameter, Route
from polling.api.sight import VOTE, sight_of
from polling.core.changes import ChangePoll, ReopenPoll, check_change, check_reopening
from polling.core.errors import (
    BadRequest,
    BodyTooLarge,
    PollClosed,
    PollFinal,
    PollHasVotes,
    PollNotFound,
    StoreUnavailable,
    TokenMissing,
    TokenWrong,
    UnsupportedMediaType,
    ValidationError,
)
from polling.core.polls import Poll

_change = JsonBody(ChangePoll)
_reopening = JsonBody(ReopenPoll)


class PollHandler(Handler):
    """`/api/polls/{id}`."""

    async def get(self, poll_id: str) -> None:
        poll = await self.services.book.get(poll_id)
        sight = sight_of(self, poll)
        results = await self.services.results.get(poll)
        shown = sight.sees(poll, results.closed)
        etag = f'"{results.revision}"' if shown else f'"{results.revision}-hidden"'
        self.set_header("ETag", etag)
        self.set_header("Cache-Control", "no-cache")
        if results.settled and matches(self.request.headers.get("If-None-Match"), etag):
            self.set_status(304)
            self.clear_header("Content-Type")
            self.finish()
            return
        self.answer(200, poll_answer(poll, results, shown=shown))

    async def patch(self, poll_id: str) -> None:
        poll = await self.services.book.get(poll_id)
        self.require_admin(poll)
        change = check_change(self.read_body(_change), len(poll.options), datetime.now(UTC))
        await _answer_changed(self, await self.services.store.change_poll(poll, change))

    async def delete(self, poll_id: str) -> None:
        services = self.services
        poll = await services.book.get(poll_id)
        self.require_admin(poll)
        await services.store.delete_poll(poll)
        await _tell(self, poll_id, await services.store.poll(poll_id))
        self.set_status(204)
        self.clear_header("Content-Type")
        self.finish()


class CloseHandler(Handler):
    """`/api/polls/{id}/close`."""

    async def post(self, poll_id: str) -> None:
        poll = await self.services.book.get(poll_id)
        self.require_admin(poll)
        await _answer_changed(self, await self.services.store.close_poll(poll))


class ReopenHandler(Handler):
    """`/api/polls/{id}/reopen`."""

    async def post(self, poll_id: str) -> None:
        poll = await self.services.book.get(poll_id)
        self.require_admin(poll)
        request = self.read_body(_reopening) if self.request.body else ReopenPoll()
        closes_at = check_reopening(request, datetime.now(UTC)).closes_at
        await _answer_changed(self, await self.services.store.reopen_poll(poll, closes_at))


async def _answer_changed(handler: Handler, poll: Poll) -> None:
    """Tells everybody of a poll that was just changed, and answers it, for whoever made it."""
    await _tell(handler, poll.id, poll)
    results = await handler.services.results.get(poll)
    await handler.services.live.publish_results([results])
    handler.answer(200, poll_answer(poll, results, shown=True))


async def _tell(handler: Handler, poll_id: str, poll: Poll | None) -> None:
    """Has everybody in this process see what was just done to a poll."""
    services = handler.services
    services.results.forget(poll_id)
    if poll is not None:
        services.book.put(poll)
        await services.live.remember_poll(poll)


_ADMIN_ERRORS = (PollNotFound, TokenMissing, TokenWrong, StoreUnavailable)
_BODY_ERRORS = (BadRequest, BodyTooLarge, UnsupportedMediaType, ValidationError)

ROUTES = [
    Route(
        "/api/polls/{id}",
        PollHandler,
        (
            Operation(
                "get",
                "Read a poll and its results",
                {200: ("The poll; `ETag` is its revision", PollAnswer), 304: ("It is as you know it", None)},
                description="Where the results are hidden from you, `results_hidden` says so, and votes are null.",
                parameters=(POLL_ID, VOTE, Parameter("If-None-Match", "header", "The `ETag` that you know."), ADMIN),
                errors=(PollNotFound, TokenWrong, ValidationError, StoreUnavailable),
            ),
            Operation(
                "patch",
                "Change a poll",
                {200: ("The poll as it is now", PollAnswer)},
                description="What is named changes. Options change only while no vote is counted; none comes or goes.",
                body=ChangePoll,
                example={"question": "Which day suits you best?"},
                parameters=(POLL_ID, ADMIN),
                errors=(*_ADMIN_ERRORS, *_BODY_ERRORS, PollHasVotes, PollClosed),
                admin=True,
            ),
            Operation(
                "delete",
                "Delete a poll",
                {204: ("It is gone", None)},
                parameters=(POLL_ID, ADMIN),
                errors=_ADMIN_ERRORS,
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
                errors=_ADMIN_ERRORS,
                admin=True,
            ),
        ),
    ),
    Route(
        "/api/polls/{id}/reopen",
        ReopenHandler,
        (
            Operation(
                "post",
                "Open a closed poll again",
                {200: ("The poll, open", PollAnswer)},
                description="Only before it is final. What was cast while it was closed stays rejected.",
                body=ReopenPoll,
                body_required=False,
                example={"closes_at": None},
                parameters=(POLL_ID, ADMIN),
                errors=(*_ADMIN_ERRORS, *_BODY_ERRORS, PollFinal),
                admin=True,
            ),
        ),
    ),
]
