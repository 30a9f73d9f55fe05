"""How a vote is judged, in which order, and how one waits for the count."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from polling.api.votes import wanted_wait
from polling.casting import CountedWaits
from polling.casting.casting import Paper, judge, key_flaw
from polling.core import ballots
from polling.core.errors import PollClosed, TokenMissing, UnknownOption, ValidationError
from polling.core.polls import OneVotePer, Poll
from polling.core.votes import CastVote, Covered
from polling.vote_log import Position

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def a_poll(one_vote_per: OneVotePer | None = None, *, allow_change: bool = True, closed: bool = False) -> Poll:
    return Poll(
        number=1,
        id="p",
        question="q",
        options=("a", "b"),
        one_vote_per=one_vote_per,
        allow_change=allow_change,
        listed=True,
        created_at=NOW,
        closes_at=None,
        closed=closed,
        deleted=False,
        key=b"key",
        admin_token_hash=b"",
    )


def vote(option: str = "a", key: str | None = None, voter: str | None = None) -> CastVote:
    return CastVote("p", option, key, voter)


def judged(poll: Poll, request: CastVote, now: datetime, *, vouched: bool = False) -> Paper:
    return judge(poll, request, now, ballots.fresh, vouched=vouched)


def test_that_it_is_closed_comes_first() -> None:
    for poll in (a_poll(closed=True), a_poll("voter", closed=True)):
        with pytest.raises(PollClosed):
            judged(poll, vote("no such option"), NOW)
    due = msgspec.structs.replace(a_poll(), closes_at=NOW)
    judged(due, vote(), NOW)
    with pytest.raises(PollClosed):
        judged(due, vote(), NOW + timedelta(milliseconds=1))


def test_then_who_votes_and_then_the_option() -> None:
    with pytest.raises(TokenMissing):
        judged(a_poll("voter"), vote("no such option", voter="v"), NOW)
    with pytest.raises(ValidationError):
        judged(a_poll("voter"), vote("no such option"), NOW, vouched=True)
    with pytest.raises(ValidationError):
        judged(a_poll("browser"), vote("no such option"), NOW)
    with pytest.raises(UnknownOption):
        judged(a_poll(), vote("no such option"), NOW)


def test_which_ballot_a_vote_has() -> None:
    plain = a_poll()
    assert judged(plain, vote(), NOW).ballot != judged(plain, vote(), NOW).ballot
    assert not judged(plain, vote(voter="v"), NOW).repeatable
    keyed = judged(plain, vote(key="k"), NOW)
    assert keyed.repeatable
    assert keyed.ballot == judged(plain, vote("b", key="k"), NOW).ballot
    once = judged(a_poll("browser", allow_change=False), vote(key="k", voter="v"), NOW)
    assert once.repeatable
    assert once.ballot == judged(a_poll("browser"), vote("b", key="other", voter="v"), NOW).ballot
    assert once.ballot != keyed.ballot
    assert not judged(a_poll("browser"), vote(voter="v"), NOW).repeatable


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0),
        ("wait=2", 2),
        ("respond-async, Wait = 3", 3),
        ("wait=4;x=y", 4),
        ("wait=11", 10),
        ("wait=999999999", 10),
        ("wait=2, wait=5", 2),
        ("wait=-1", 0),
        ("wait=2.5", 0),
        ("wait=²", 0),
        ("wait", 0),
        ("await=3", 0),
    ],
)
def test_prefer_wait(header: str | None, seconds: int) -> None:
    assert wanted_wait(header) == seconds


@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb", "\x7f", "\ud800"])
def test_keys_that_are_none(key: str) -> None:
    assert key_flaw(key)


@pytest.mark.parametrize("key", ["x", "x" * 255, "a b", "ключ"])
def test_keys(key: str) -> None:
    assert key_flaw(key) is None


async def test_a_wait_ends_with_the_range_that_covers_it() -> None:
    waits = CountedWaits()
    with waits.registered(Position(1, 2, 10)) as wait:
        waits.counted([Covered(1, 2, 0, 10), Covered(1, 2, 11, 20), Covered(1, 3, 0, 20), Covered(2, 2, 0, 20)])
        assert not wait.woken.is_set()
        waits.counted([Covered(1, 2, 5, 11)])
        await asyncio.wait_for(wait.woken.wait(), 5)
        assert wait.covered


async def test_who_may_have_missed_something_looks_again() -> None:
    waits = CountedWaits()
    with waits.registered(Position(1, 2, 10)) as here, waits.registered(None) as anywhere:
        waits.counted([Covered(1, 7, 0, 1)])
        assert anywhere.woken.is_set()
        assert not here.woken.is_set()
        waits.counted([])
        assert here.woken.is_set()
        assert not here.covered
