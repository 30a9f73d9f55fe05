"""Step 1 of 7, accept: many votes in one request, a line each; lines succeed one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime

from msgspec import UNSET

from polling.api.answers import AcceptedLine, BatchAnswer, BatchLine, RejectedLine
from polling.api.base import Handler
from polling.api.body import JsonBody
from polling.api.routes import ADMIN, POLL_ID, Operation, Parameter, Route
from polling.api.votes import check_voter, idempotency_key
from polling.casting import Cast, require_open
from polling.casting.casting import Paper, key_flaw
from polling.core.errors import (
    BadRequest,
    BodyTooLarge,
    LogUnavailable,
    PollClosed,
    PollingError,
    PollNotFound,
    RateLimited,
    StoreUnavailable,
    TokenMissing,
    TokenWrong,
    UnsupportedMediaType,
    ValidationError,
)
from polling.core.polls import MAX_BATCH_LINES, Poll
from polling.core.votes import CastVote
from polling.telemetry import metrics

MEDIA_TYPE = "application/x-ndjson"
TURN = 200
"""Lines that are judged and cast in one turn of the loop, so that other requests are not held up."""

_line = JsonBody(BatchLine)
Outcome = Cast | PollingError


class BatchHandler(Handler):
    """`/api/polls/{id}/votes/batch`."""

    async def post(self, poll_id: str) -> None:
        services = self.services
        self.limit(services.limits.votes)
        self.require_body(MEDIA_TYPE)
        lines = list(_numbered(self.request.body))
        poll = await services.book.get(poll_id)
        require_open(poll, datetime.now(UTC))
        if poll.one_vote_per == "browser":
            raise ValidationError.at("#", "A poll with one vote per browser takes no batches.")
        if poll.one_vote_per == "voter":
            self.require_admin(poll)
        self.limit(services.limits.votes, len(lines))
        key = None if poll.one_vote_per else idempotency_key(self)
        self._end(await self._cast_all(poll, key, lines))

    async def _cast_all(self, poll: Poll, key: str | None, lines: list[tuple[int, bytes]]) -> list[tuple[int, Outcome]]:
        """All are handed to Kafka first; then all acknowledgements are waited for together."""
        outcomes: list[tuple[int, Outcome | asyncio.Task[Cast]]] = []
        for start in range(0, len(lines), TURN):
            now = datetime.now(UTC)
            turn = lines[start : start + TURN]
            judged = [(number, self._judge(poll, key, number, text, now)) for number, text in turn]
            known = await asyncio.gather(*(self._recall(paper) for _, paper in judged))
            for (number, paper), outcome in zip(judged, known, strict=True):
                outcomes.append((number, outcome or self._produce(paper)))
            await asyncio.sleep(0)
        waiting = [outcome for _, outcome in outcomes if isinstance(outcome, asyncio.Task)]
        if waiting:
            await asyncio.wait(waiting)
        return [(number, _settled(outcome)) for number, outcome in outcomes]

    def _judge(self, poll: Poll, key: str | None, number: int, text: bytes, now: datetime) -> Paper | PollingError:
        try:
            line = _line.read(text)
            check_voter(poll, line.voter)
            own = line.idempotency_key
            if poll.one_vote_per is None and own is not None and (flaw := key_flaw(own)):
                raise ValidationError.at("#/idempotency_key", flaw)
            derived = None if key is None else f"{key}\n{number}"
            request = CastVote(poll.id, line.option, own if own is not None else derived, line.voter)
            paper = self.services.casting.judge(poll, request, now, vouched=poll.one_vote_per == "voter")
            if poll.one_vote_per == "voter":
                self.services.limits.take_of_voter(self.address, f"{poll.id}/{line.voter}")
            return paper
        except PollingError as error:
            return error

    async def _recall(self, paper: Paper | PollingError) -> Outcome | None:
        if isinstance(paper, PollingError):
            return paper
        if not paper.repeatable:
            return None
        try:
            return await self.services.casting.recall(paper)
        except PollingError as error:
            return error

    def _produce(self, paper: Paper | PollingError) -> Outcome | asyncio.Task[Cast]:
        if isinstance(paper, PollingError):
            return paper
        casting = self.services.casting
        try:
            future = casting.produce(paper)
        except LogUnavailable as error:
            return error
        return asyncio.create_task(casting.acknowledged(paper, future), name="cast a line")

    def _end(self, outcomes: list[tuple[int, Outcome]]) -> None:
        accepted = [AcceptedLine(number, cast.vote_id) for number, cast in outcomes if isinstance(cast, Cast)]
        failed = [(number, error) for number, error in outcomes if isinstance(error, PollingError)]
        if not accepted and any(isinstance(error, LogUnavailable) for _, error in failed):
            raise LogUnavailable
        metrics.votes_accepted.labels("batch").inc(len(accepted))
        rejected = [RejectedLine(number, error.code, error.detail) for number, error in failed]
        wanted = _wants_representation(self.request.headers.get("Prefer"))
        if wanted:
            self.set_header("Preference-Applied", "return=representation")
        self.answer(202, BatchAnswer(len(accepted), rejected, accepted if wanted else UNSET))


def _numbered(body: bytes) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, by their numbers from 1. Raises BodyTooLarge where they are too many."""
    count = 0
    for number, line in enumerate(body.split(b"\n"), 1):
        if not line.strip():
            continue
        count += 1
        if count > MAX_BATCH_LINES:
            raise BodyTooLarge(MAX_BATCH_LINES, "lines")
        yield number, line


def _settled(outcome: Outcome | asyncio.Task[Cast]) -> Outcome:
    if not isinstance(outcome, asyncio.Task):
        return outcome
    error = outcome.exception()
    if isinstance(error, PollingError):
        return error
    return outcome.result()


def _wants_representation(prefer: str | None) -> bool:
    return any(p.replace(" ", "").lower() == "return=representation" for p in (prefer or "").split(","))


ROUTES = [
    Route(
        "/api/polls/{id}/votes/batch",
        BatchHandler,
        (
            Operation(
                "post",
                "Cast many votes",
                {202: ("How many Kafka has, and which lines were not accepted", BatchAnswer)},
                description="One JSON object a line; each is judged alone. At most 10,000 lines and 1 MiB.",
                body=BatchLine,
                body_media=MEDIA_TYPE,
                example='{"option": "JavaScript"}\n{"option": "Python"}\n',
                parameters=(
                    POLL_ID,
                    Parameter("Idempotency-Key", "header", "Line n gets this key, a newline and n."),
                    Parameter("Prefer", "header", "`return=representation` has the votes' ids listed."),
                    ADMIN,
                ),
                errors=(
                    BadRequest,
                    TokenMissing,
                    TokenWrong,
                    PollNotFound,
                    PollClosed,
                    BodyTooLarge,
                    UnsupportedMediaType,
                    ValidationError,
                    RateLimited,
                    LogUnavailable,
                    StoreUnavailable,
                ),
            ),
        ),
    )
]
