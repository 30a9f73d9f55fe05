"""Step 1 of 7, accept: the shapes of all bodies, in and out. The OpenAPI page is made from them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from polling.core.leaderboard import Option
from polling.core.polls import OneVotePer, Poll, Results, ResultsVisible, Status
from polling.core.votes import VoteState, VoteStatus

encode = msgspec.json.Encoder().encode


class Vote(msgspec.Struct, forbid_unknown_fields=True):
    """A vote. `option` is an option's text or id; `voter` only where the poll has one vote per voter."""

    option: str
    voter: str | None = None


class BatchLine(msgspec.Struct, forbid_unknown_fields=True):
    """One line of a batch."""

    option: str
    voter: str | None = None
    idempotency_key: str | None = None


class OptionResult(msgspec.Struct):
    """An option and its votes; `share` is its part of all votes, from 0 to 1. Both are null where they are hidden."""

    id: str
    text: str
    votes: int | None
    share: float | None


class PollAnswer(msgspec.Struct, kw_only=True):
    """A poll with its results: a consistent snapshot at one revision.

    `results_visible` stands there where it is not `always`, `results_hidden` where the results are hidden from whom
    this is the answer to.
    """

    id: str
    question: str
    options: list[OptionResult]
    total_votes: int
    status: Status
    final: bool
    one_vote_per: OneVotePer | None
    allow_change: bool
    listed: bool
    created_at: datetime
    closes_at: datetime | None
    revision: int
    results_visible: ResultsVisible | UnsetType = UNSET
    results_hidden: bool | UnsetType = UNSET


class CreatedPoll(PollAnswer, kw_only=True):
    """A new poll, with the token by which it may be closed and deleted. It is shown only here."""

    admin_token: str


class PollList(msgspec.Struct):
    """A page of polls, newest first. `next_cursor` asks for the page after it; null where there is none."""

    data: list[PollAnswer]
    next_cursor: str | None


class VoteAccepted(msgspec.Struct):
    """Kafka has the vote. What becomes of it can be asked for at `Location`."""

    vote_id: str
    poll_id: str
    option: Option
    status: Literal["accepted"] = "accepted"


class RejectedCast(msgspec.Struct):
    """A cast of this ballot that does not count."""

    option: Option
    reason: str


class VoteAnswer(msgspec.Struct):
    """What became of a vote. `option` is the one that counts."""

    vote_id: str
    status: VoteStatus
    option: Option | None
    rejected: list[RejectedCast]


class VoteDecided(VoteAnswer):
    """The same, and the poll's revision at that time."""

    revision: int


class RejectedLine(msgspec.Struct):
    """A line of a batch that was not accepted. Lines count from 1."""

    line: int
    code: str
    detail: str


class AcceptedLine(msgspec.Struct):
    """A line of a batch that was accepted."""

    line: int
    vote_id: str


class BatchAnswer(msgspec.Struct):
    """How many lines Kafka has, and which were not accepted. `votes` where `Prefer: return=representation` asks."""

    accepted: int
    rejected: list[RejectedLine]
    votes: list[AcceptedLine] | UnsetType = UNSET


class SeriesPoint(msgspec.Struct):
    """The votes of each option, in their order, as they stood at a time."""

    at: datetime
    votes: Sequence[int]


class SeriesAnswer(msgspec.Struct):
    """How a poll's votes grew: in steps of so many seconds, where they changed; the last point is now."""

    poll_id: str
    step: int
    points: list[SeriesPoint]


class ExportAnswer(msgspec.Struct):
    """All of a poll: how it stands, and how it came to that."""

    exported_at: datetime
    poll: PollAnswer
    series: SeriesAnswer


class ExportedBallot(msgspec.Struct):
    """A ballot that counts. `logged_at`: when the vote that counts was logged."""

    vote_id: str
    option_id: str
    option: str
    logged_at: datetime


class Readiness(msgspec.Struct):
    """Whether this process can do all its work, and which parts are away: kafka, postgres, redis."""

    ready: bool
    away: list[str]


class Liveness(msgspec.Struct):
    """This process runs."""

    alive: bool = True


class Fault(msgspec.Struct):
    """Where a request is wrong. `pointer` is a JSON pointer in a URI fragment, as in RFC 9457."""

    pointer: str
    detail: str


class Problem(msgspec.Struct):
    """An error (RFC 9457). `code` is stable; `type` leads to what it means."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[Fault] | UnsetType = UNSET
    vote_id: str | UnsetType = UNSET
    limit: int | UnsetType = UNSET


def option_of(poll: Poll, number: int) -> Option:
    """An option as every answer shows it."""
    return Option(str(number), poll.options[number - 1])


def poll_answer(poll: Poll, results: Results, *, shown: bool) -> PollAnswer:
    """With the votes where they are `shown`, or hidden."""
    return PollAnswer(**_poll_fields(poll, results, shown))


def created_poll(poll: Poll, results: Results, admin_token: str) -> CreatedPoll:
    return CreatedPoll(**_poll_fields(poll, results, True), admin_token=admin_token)


def vote_answer(poll: Poll, vote_id: str, state: VoteState) -> VoteAnswer:
    return VoteAnswer(vote_id, state.status, *_state_fields(poll, state))


def vote_decided(poll: Poll, vote_id: str, state: VoteState) -> VoteDecided:
    return VoteDecided(vote_id, state.status, *_state_fields(poll, state), state.revision)


def _poll_fields(poll: Poll, results: Results, shown: bool) -> dict[str, Any]:
    return {
        "id": poll.id,
        "question": poll.question,
        "options": [
            OptionResult(option_id, text, votes if shown else None, part if shown else None)
            for option_id, text, votes, part in results.of_options(poll)
        ],
        "total_votes": results.total,
        "status": results.status,
        "final": results.final,
        "one_vote_per": poll.one_vote_per,
        "allow_change": poll.allow_change,
        "listed": poll.listed,
        "created_at": poll.created_at,
        "closes_at": poll.closes_at,
        "revision": results.revision,
        "results_visible": UNSET if poll.results_visible == "always" else poll.results_visible,
        "results_hidden": UNSET if shown else True,
    }


def _state_fields(poll: Poll, state: VoteState) -> tuple[Option | None, list[RejectedCast]]:
    rejected: Sequence[tuple[int, str]] = state.rejected
    counts = None if state.option is None else option_of(poll, state.option)
    return counts, [RejectedCast(option_of(poll, option), reason) for option, reason in rejected]
