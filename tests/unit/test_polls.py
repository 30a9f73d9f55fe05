"""The unit tests: what a poll must be, which option a text names, and until when it is open."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polling.core import polls
from polling.core.errors import ValidationError
from polling.core.polls import CreatePoll, Poll, Results, check, clean, share

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def poll(*options: str, **fields: object) -> Poll:
    made: dict[str, object] = {
        "number": 1,
        "id": "p",
        "question": "q",
        "options": options or ("a", "b"),
        "one_vote_per": None,
        "allow_change": True,
        "listed": True,
        "created_at": NOW,
        "closes_at": None,
        "closed": False,
        "deleted": False,
        "key": b"k" * 32,
        "admin_token_hash": polls.hash_token("secret"),
    }
    return Poll(**(made | fields))  # type: ignore[arg-type]


def faults(request: CreatePoll) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        check(request, NOW)
    return [error["pointer"] for error in caught.value.extra["errors"]]


def test_texts_are_trimmed_and_composed() -> None:
    checked = check(CreatePoll("  Cafe\u0301? ", [" a\t", "Å"]), NOW)
    assert checked.question == "Café?"
    assert checked.options == ["a", "\u00c5"]


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        (["a"], ["#/options"]),
        ([], ["#/options"]),
        ([str(n) for n in range(101)], ["#/options"]),
        (["a", "a "], ["#/options/1"]),
        (["e\u0301", "é"], ["#/options/1"]),
        (["a", "b", "a", "b"], ["#/options/2", "#/options/3"]),
        (["a", " "], ["#/options/1"]),
        (["a", "x" * 201], ["#/options/1"]),
        (["a", "x\0y"], ["#/options/1"]),
        (["a", "\ud800"], ["#/options/1"]),
    ],
)
def test_options_that_are_refused(options: list[str], wrong: list[str]) -> None:
    assert faults(CreatePoll("q", options)) == wrong


def test_options_at_their_limits() -> None:
    options = [f"{n:03}" + "x" * 197 for n in range(100)]
    assert check(CreatePoll("q" * 500, options), NOW).options == options
    assert check(CreatePoll("q", ["a", "A"]), NOW).options == ["a", "A"], "compared case-sensitively"


@pytest.mark.parametrize("question", ["", "  \n", "q" * 501, "q\0", "\udfff"])
def test_questions_that_are_refused(question: str) -> None:
    assert faults(CreatePoll(question, ["a", "b"])) == ["#/question"]


def test_every_fault_is_told() -> None:
    request = CreatePoll("", ["a", "", "a"], closes_at=NOW - timedelta(1))
    assert faults(request) == ["#/question", "#/options/1", "#/options/2", "#/closes_at"]


@pytest.mark.parametrize("closes_at", [NOW, NOW - timedelta(microseconds=1), NOW.replace(tzinfo=None) + timedelta(9)])
def test_closing_times_that_are_refused(closes_at: datetime) -> None:
    assert faults(CreatePoll("q", ["a", "b"], closes_at=closes_at)) == ["#/closes_at"]


def test_a_closing_time_beyond_the_calendar_is_refused() -> None:
    late = datetime.max.replace(tzinfo=timezone(-timedelta(hours=5)))
    assert faults(CreatePoll("q", ["a", "b"], closes_at=late)) == ["#/closes_at"]


@given(st.datetimes(datetime(2027, 1, 1), datetime(2200, 1, 1)), st.integers(-14 * 60, 14 * 60))
def test_a_closing_time_is_kept_to_the_millisecond_never_early(time: datetime, offset: int) -> None:
    wanted = time.replace(tzinfo=timezone(timedelta(minutes=offset)))
    kept = check(CreatePoll("q", ["a", "b"], closes_at=wanted), NOW).closes_at
    assert kept is not None
    assert kept.tzinfo is UTC
    assert kept.microsecond % 1000 == 0
    assert timedelta(0) <= kept - wanted < timedelta(milliseconds=1)


@given(st.lists(st.text(max_size=8), max_size=6))
def test_what_is_accepted_keeps_every_rule(options: list[str]) -> None:
    try:
        kept = check(CreatePoll("q", options), NOW).options
    except ValidationError:
        return
    assert len(kept) == len(options) >= 2
    assert len(set(kept)) == len(kept)
    for text in kept:
        assert text == unicodedata.normalize("NFC", text.strip())
        assert text
        assert text.encode()


@given(st.text())
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    # Trimming may bring combining characters to the front; the form stays, the blanks are gone.
    assert clean(clean(text)) == clean(text)


def test_an_option_is_named_by_text_or_by_id() -> None:
    named = poll("JavaScript", "Python", "Java").option_number
    assert [named(text) for text in ("JavaScript", " Python ", "3")] == [1, 2, 3]
    assert [named(text) for text in ("javascript", "0", "4", "", "01", "+1", "1.0", "²", "١", "-1", "1000")] == [
        None
    ] * 11


def test_the_exact_text_wins_over_the_id() -> None:
    named = poll("2", "1", "3").option_number
    assert (named("1"), named("2"), named("3")) == (2, 1, 3)


@given(st.text())
def test_any_text_names_one_option_or_none(text: str) -> None:
    number = poll("a", "b").option_number(text)
    assert number in (None, 1, 2)


def test_open_until_its_last_moment() -> None:
    closing = poll(closes_at=NOW)
    assert closing.is_open(NOW)
    assert not closing.is_open(NOW + timedelta(microseconds=1))
    assert not poll(closed=True, closes_at=NOW).is_open(NOW - timedelta(1))
    assert poll().is_open(NOW + timedelta(10_000))


@pytest.mark.parametrize(
    ("one_vote_per", "allow_change", "last"),
    [
        (None, True, False),
        (None, False, False),
        ("browser", True, True),
        ("voter", True, True),
        ("voter", False, False),
    ],
)
def test_where_the_last_cast_counts(one_vote_per: str | None, allow_change: bool, last: bool) -> None:
    assert poll(one_vote_per=one_vote_per, allow_change=allow_change).last_wins is last


def test_the_admin_token() -> None:
    assert poll().admits("secret")
    assert not poll().admits("Secret")
    assert not poll().admits("")
    assert not poll().admits("\udcff"), "a header may hold anything"


@given(st.lists(st.integers(0, 10**9), min_size=2, max_size=9))
def test_shares_are_parts_of_one(counts: list[int]) -> None:
    total = Results("p", 1, tuple(counts), "open", False).total
    shares = [share(votes, total) for votes in counts]
    assert all(0 <= one <= 1 for one in shares)
    assert sum(shares) == pytest.approx(1 if total else 0)


def test_names_that_nobody_guesses() -> None:
    ids = {polls.new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(one) == 20 and one.isascii() and one.isalnum() for one in ids)
    assert len({polls.new_token() for _ in range(1000)}) == 1000
