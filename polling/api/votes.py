"""Step 1 of 7, accept: votes over HTTP: cast one, ask what became of it."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from polling.api.answers import Vote, VoteAccepted, VoteAnswer, VoteDecided, option_of, vote_answer, vote_decided
from polling.api.base import Handler
from polling.api.body import JsonBody
from polling.api.routes import ADMIN, POLL_ID, Operation, Parameter, Route
from polling.api.voters import key_known, new_voter, set_voter_cookie, voter_of
from polling.casting import require_open
from polling.casting.casting import key_flaw
from polling.core import ballots
from polling.core.errors import (
    AlreadyVoted,
    BadRequest,
    BodyTooLarge,
    IdempotencyKeyReused,
    LogUnavailable,
    OriginForbidden,
    PollClosed,
    PollNotFound,
    RateLimited,
    StoreUnavailable,
    TokenMissing,
    TokenWrong,
    UnknownOption,
    UnsupportedMediaType,
    ValidationError,
    VoteNotFound,
)
from polling.core.origins import is_foreign
from polling.core.polls import MAX_VOTER, Poll, text_flaw
from polling.core.votes import CastVote
from polling.telemetry import metrics

MAX_WAIT = 10

_vote = JsonBody(Vote)
_WAIT = re.compile(r"\s*wait\s*=\s*(\d{1,9})\s*(?:;.*)?", re.IGNORECASE | re.ASCII)


class VoteHandler(Handler):
    """`/api/polls/{id}/vote`. What lane.py does not answer at once comes here."""

    async def post(self, poll_id: str) -> None:
        services = self.services
        self.limit(services.limits.votes)
        vote = self.read_body(_vote)
        poll = await services.book.get(poll_id)
        require_open(poll, datetime.now(UTC))
        voter = self._voter(poll, vote.voter)
        key = None if poll.one_vote_per else idempotency_key(self)
        cast = await services.casting.cast(
            CastVote(poll_id, vote.option, key, voter), vouched=poll.one_vote_per == "voter"
        )
        metrics.votes_accepted.labels("http").inc()
        location = f"/api/polls/{poll_id}/votes/{cast.vote_id}"
        wait = wanted_wait(self.request.headers.get("Prefer"))
        if wait:
            state = await services.casting.decided(cast, wait)
            if state is not None:
                decided = vote_decided(poll, cast.vote_id, state)
                self.answer(200, decided, Location=location, Preference_Applied=f"wait={wait}")
                return
        self.answer(202, VoteAccepted(cast.vote_id, poll_id, option_of(poll, cast.option)), Location=location)

    def _voter(self, poll: Poll, named: str | None) -> str | None:
        if poll.one_vote_per == "voter":
            self.require_admin(poll)
        check_voter(poll, named)
        if poll.one_vote_per == "voter":
            self.limit_voter(f"{poll.id}/{named}")
            return named
        if poll.one_vote_per is None and not key_known(self):
            return None
        voter = voter_of(self)
        if voter is None:
            voter = new_voter()
            set_voter_cookie(self, voter)
        elif is_foreign(self.request.headers.get("Origin"), self.request.host, self.services.settings.allowed_origins):
            raise OriginForbidden
        else:
            self.limit_voter(voter)
        return voter


class VoteStatusHandler(Handler):
    """`/api/polls/{id}/votes/{vote_id}`."""

    async def get(self, poll_id: str, vote_id: str) -> None:
        poll = await self.services.book.find(poll_id)
        ballot = ballots.from_vote_id(poll.key, vote_id)
        if ballot is None:
            raise PollNotFound if poll.deleted else VoteNotFound
        state = await self.services.store.vote_state(poll, ballot)
        self.answer(200, vote_answer(poll, vote_id, state))


def check_voter(poll: Poll, named: str | None) -> None:
    """Raises ValidationError where a poll asks for a voter's name and gets none, or gets one and does not ask."""
    if poll.one_vote_per != "voter":
        if named is not None:
            raise ValidationError.at("#/voter", "This poll does not ask for a voter.")
    elif named is None:
        raise ValidationError.at("#/voter", "This poll has one vote per voter: name the voter.")
    elif flaw := text_flaw(named, MAX_VOTER):
        raise ValidationError.at("#/voter", f"A voter {flaw}.")


def idempotency_key(handler: Handler) -> str | None:
    """The header of this name. Raises ValidationError where it is no key."""
    header = handler.request.headers.get("Idempotency-Key")
    if header is None:
        return None
    try:
        key = header.encode("latin-1").decode()
    except UnicodeDecodeError:
        key = ""
    if flaw := key_flaw(key):
        raise ValidationError.at("#/Idempotency-Key", flaw)
    return key


def wanted_wait(prefer: str | None) -> int:
    """The seconds of `Prefer: wait=…` (RFC 7240, section 4.3), 10 at most; 0 where there is none that can be read."""
    for preference in (prefer or "").split(","):
        if found := _WAIT.fullmatch(preference):
            return min(int(found[1]), MAX_WAIT)
    return 0


_KEY = Parameter("Idempotency-Key", "header", "1–255 printable characters. The same key is the same vote.")
_PREFER = Parameter("Prefer", "header", "`wait=N`: wait up to N seconds (10 at most) until the vote is counted.")

ROUTES = [
    Route(
        "/api/polls/{id}/vote",
        VoteHandler,
        (
            Operation(
                "post",
                "Vote",
                {
                    202: ("Kafka has the vote on all replicas", VoteAccepted),
                    200: ("With `Prefer: wait`: what became of it", VoteDecided),
                },
                description="`option` is the text or the id of an option; the exact text wins.",
                body=Vote,
                example={"option": "JavaScript"},
                parameters=(POLL_ID, _KEY, _PREFER, ADMIN),
                errors=(
                    BadRequest,
                    TokenMissing,
                    TokenWrong,
                    OriginForbidden,
                    PollNotFound,
                    PollClosed,
                    AlreadyVoted,
                    BodyTooLarge,
                    UnsupportedMediaType,
                    ValidationError,
                    UnknownOption,
                    IdempotencyKeyReused,
                    RateLimited,
                    LogUnavailable,
                    StoreUnavailable,
                ),
            ),
        ),
    ),
    Route(
        "/api/polls/{id}/votes/{vote_id}",
        VoteStatusHandler,
        (
            Operation(
                "get",
                "Ask what became of a vote",
                {200: ("Its state", VoteAnswer)},
                parameters=(POLL_ID, Parameter("vote_id", "path", "The vote's id.")),
                errors=(PollNotFound, VoteNotFound, StoreUnavailable),
            ),
        ),
    ),
]
