"""The unit tests: what a ballot's stored rows mean, the notes that say what was counted, and the family of errors."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from polling.core import errors
from polling.core.errors import PollingError
from polling.core.votes import Covered, note, read_note, state

REASONS = ("taken", "poll_closed", "poll_deleted")


@given(st.none() | st.integers(1, 4), st.lists(st.tuples(st.integers(1, 4), st.sampled_from(REASONS))), st.booleans())
def test_the_option_that_counts_is_never_rejected(
    counts: int | None, rejected: list[tuple[int, str]], keyed: bool
) -> None:
    found = state(counts, rejected, 7, keyed)
    assert all(option != counts for option, _ in found.rejected)
    assert "taken" not in [reason for _, reason in found.rejected], "an inner word"
    assert len(found.rejected) == len([one for one in rejected if one[0] != counts])
    if counts is not None:
        assert found.status == "counted"
    else:
        assert found.status == ("rejected" if rejected else "accepted")
    assert found.revision == 7


def test_why_a_cast_was_rejected() -> None:
    assert state(1, [(2, "taken")], 1, keyed=True).rejected == ((2, "idempotency_key_reused"),)
    assert state(1, [(2, "taken")], 1, keyed=False).rejected == ((2, "already_voted"),)
    assert state(None, [(2, "poll_closed")], 1, keyed=True).rejected == ((2, "poll_closed"),)


ranges = st.builds(
    Covered, st.integers(1, 127), st.integers(0, 16383), st.integers(0, 2**42 - 1), st.integers(0, 2**42 - 1)
)


@given(st.lists(ranges, max_size=50))
def test_a_note_is_read_back(wanted: list[Covered]) -> None:
    assert read_note(note(wanted)) == wanted


@given(st.integers(1, 3000))
def test_a_note_never_exceeds_what_postgresql_takes(count: int) -> None:
    text = note([Covered(127, 16383, 2**42 - 2, 2**42 - 1)] * count)
    assert len(text) < 8000
    assert read_note(text) in ([], [Covered(127, 16383, 2**42 - 2, 2**42 - 1)] * count)


def family(error: type[PollingError]) -> list[type[PollingError]]:
    return [error, *(member for child in error.__subclasses__() for member in family(child))]


def test_the_tree_of_errors_is_the_one_that_its_page_shows() -> None:
    leaves = [error for error in family(PollingError) if not ours(error.__subclasses__()) and ours([error])]
    drawn = dict(re.findall(r"(\w+) +(\d{3} \w+)$", errors.__doc__ or "", re.MULTILINE))
    assert drawn == {error.__name__: f"{error.status} {error.code}" for error in leaves}


def ours(found: list[type[PollingError]]) -> list[type[PollingError]]:
    return [error for error in found if error.__module__ == errors.__name__]


def test_every_error_says_something() -> None:
    text = Path(errors.__file__).read_text()
    assert text.count('"internal_error"') == 1
    for error in (errors.PollClosed(), errors.BodyTooLarge(5), errors.MethodNotAllowed("GET"), errors.RateLimited(3)):
        problem = error.problem()
        assert problem["detail"].endswith(".")
        assert problem["type"] == f"/docs#{error.code}"
        assert problem["status"] == error.status
