"""Step 1 of 7, accept: many votes in one request, a line each; lines succeed one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime

from msgspec import UNSET, UnsetType

from polling.api.answers import AcceptedLine, BatchAnswer, BatchLine, RejectedLine
from polling.api.base import Handler
from polling.api.body import JsonBody
from polling.api.routes import ADMIN, POLL_ID, Operation, Parameter, Route
from polling.api.votes import check_voter, idempotency_key
from polling.casting import require_open
from polling.casting.casting import Paper, key_flaw
from polling.core import ballots
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
Outcome = bytes | PollingError
"""The ballot of a line that is in the log, or why it is not."""


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
        self._end(poll, await self._cast_all(poll, key, lines))

    async def _cast_all(self, poll: Poll, key: str | None, lines: list[tuple[int, bytes]]) -> list[tuple[int, Outcome]]:
        """All are handed to Kafka first; then all acknowledgements are waited for together."""
        casting = self.services.casting
        sending = casting.produce_many()
        outcomes: list[tuple[int, Paper | Outcome]] = []
        for start in range(0, len(lines), TURN):
            now = datetime.now(UTC)
            turn = lines[start : start + TURN]
            judged = [(number, self._judge(poll, key, number, text, now)) for number, text in turn]
            known = await self._recall_all(judged)
            outcomes_of_turn = [(number, known.get(number, paper)) for number, paper in judged]
            casting.produce_with(sending, poll, [one for _, one in outcomes_of_turn if isinstance(one, Paper)])
            outcomes += outcomes_of_turn
            await asyncio.sleep(0)
        lost = await casting.settled(sending, (outcome for _, outcome in outcomes if isinstance(outcome, Paper)))
        return [(number, _settled(outcome, lost)) for number, outcome in outcomes]

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

    async def _recall_all(self, judged: list[tuple[int, Paper | PollingError]]) -> dict[int, Outcome]:
        """What the door knows of those lines that may be repetitions, by their numbers."""
        repeatable = [(number, paper) for number, paper in judged if isinstance(paper, Paper) and paper.repeatable]
        known = await asyncio.gather(*(self._recall(paper) for _, paper in repeatable)) if repeatable else ()
        return {number: outcome for (number, _), outcome in zip(repeatable, known, strict=True) if outcome is not None}

    async def _recall(self, paper: Paper) -> Outcome | None:
        try:
            cast = await self.services.casting.recall(paper)
        except PollingError as error:
            return error
        return None if cast is None else cast.ballot

    def _end(self, poll: Poll, outcomes: list[tuple[int, Outcome]]) -> None:
        cast = [(number, outcome) for number, outcome in outcomes if isinstance(outcome, bytes)]
        failed = [(number, error) for number, error in outcomes if isinstance(error, PollingError)]
        if not cast and any(isinstance(error, LogUnavailable) for _, error in failed):
            raise LogUnavailable
        metrics.votes_accepted.labels("batch").inc(len(cast))
        rejected = [RejectedLine(number, error.code, error.detail) for number, error in failed]
        accepted: list[AcceptedLine] | UnsetType = UNSET
        if _wants_representation(self.request.headers.get("Prefer")):
            self.set_header("Preference-Applied", "return=representation")
            accepted = [AcceptedLine(number, ballots.vote_id(poll.key, ballot)) for number, ballot in cast]
        self.answer(202, BatchAnswer(len(cast), rejected, accepted))


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


def _settled(outcome: Paper | Outcome, lost: AbstractSet[bytes]) -> Outcome:
    if not isinstance(outcome, Paper):
        return outcome
    return LogUnavailable() if outcome.ballot in lost else outcome.ballot


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
