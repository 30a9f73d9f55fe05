"""The unit tests: texts in files for spreadsheets, and the points by which a time is shown."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polling.core import sheets
from polling.core.polls import Results
from polling.core.series import MAX_POINTS, NOTED_EVERY, TIERS, Point, assemble, step_of
from unit.test_polls import NOW, poll

TEXTS = st.text(alphabet=st.one_of(st.sampled_from("=+-@\t\r\n \"',;'\u200b\ufeff＝"), st.characters(codec="utf-8")))


@given(TEXTS)
def test_no_cell_begins_a_formula(text: str) -> None:
    shown = sheets.cell(text)
    assert shown in (text, f"'{text}")
    visible = shown.lstrip(" \u200b\ufeff\u00a0")
    assert not visible.startswith(("=", "+", "-", "@", "＝"))
    assert not shown.startswith(("\t", "\r", "\n"))


@pytest.mark.parametrize("text", ["plain", "", "1", "a=b", "'quoted'", "ünïcode", "a\tb"])
def test_what_is_no_formula_stays_as_it_is(text: str) -> None:
    assert sheets.cell(text) == text


@given(st.lists(st.lists(TEXTS, min_size=2, max_size=2), max_size=5))
def test_what_is_written_is_read_again(rows: list[list[str]]) -> None:
    text = sheets.lines(rows).decode()
    read = list(csv.reader(io.StringIO(text, newline="")))
    assert read == [[sheets.cell(cell) for cell in row] for row in rows]


@given(st.floats(min_value=0, max_value=1e10))
def test_no_time_is_shown_in_too_many_points(seconds: float) -> None:
    step = step_of(seconds)
    assert step >= NOTED_EVERY
    assert seconds / step + 3 <= MAX_POINTS


def test_short_times_are_shown_in_full() -> None:
    assert step_of(0) == step_of(2400) == NOTED_EVERY
    assert step_of(86_400 * 365) > 21_600


def test_the_tiers_follow_each_other() -> None:
    assert [tier.after for tier in TIERS] == sorted({tier.after for tier in TIERS})
    steps = [NOTED_EVERY, *(tier.step for tier in TIERS)]
    assert all(later % earlier == 0 and later > earlier for earlier, later in pairwise(steps))


def test_a_series_begins_with_no_votes_and_ends_now() -> None:
    one = poll("a", "b")
    now = NOW + timedelta(minutes=1)
    noted = [Point(NOW + timedelta(seconds=5), (1, 0)), Point(now, (9, 9)), Point(now + timedelta(seconds=1), (9, 9))]
    points = assemble(one, noted, Results("p", 3, (2, 1), "open", False), now)
    assert points == [Point(NOW, (0, 0)), noted[0], Point(now, (2, 1))]
