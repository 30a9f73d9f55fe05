"""Step 1 of 7, accept: what may be changed of a poll after it was made."""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import UNSET, UnsetType

from polling.core.polls import Faults, ResultsVisible


class ChangePoll(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `PATCH /api/polls/{id}`: what is named changes, all else stays.

    `options` are the texts of all of them, in the order of their ids: none comes or goes. `closes_at` null: it closes
    by hand alone.
    """

    question: str | UnsetType = UNSET
    options: list[str] | UnsetType = UNSET
    closes_at: datetime | UnsetType | None = UNSET
    results_visible: ResultsVisible | UnsetType = UNSET


class ReopenPoll(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /api/polls/{id}/reopen`: when it closes again by itself, or null."""

    closes_at: datetime | None = None


def check_change(request: ChangePoll, options: int, now: datetime) -> ChangePoll:
    """The request with clean texts, for a poll that has so many options.

    Raises:
        ValidationError: with every fault, not the first alone.
    """
    faults, checked = Faults(), msgspec.structs.replace(request)
    if request.question is not UNSET:
        checked.question = faults.question(request.question)
    if request.options is not UNSET:
        checked.options = faults.options(request.options)
        if len(request.options) != options:
            faults.add("#/options", f"This poll has {options} options, and none may come or go.")
    if request.closes_at is not UNSET:
        checked.closes_at = faults.closes_at(request.closes_at, now)
    faults.check()
    return checked


def check_reopening(request: ReopenPoll, now: datetime) -> ReopenPoll:
    """The request with its time to the millisecond. Raises ValidationError where that is no time to come."""
    faults = Faults()
    closes_at = faults.closes_at(request.closes_at, now)
    faults.check()
    return ReopenPoll(closes_at)
