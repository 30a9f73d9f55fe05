"""The unit tests: the page and the pictures that are made of the benchmark's results."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from bench import drawing, page, pictures
from bench.report import Figure, Goal
from bench.results import Results, merge

SVG = "{http://www.w3.org/2000/svg}"


def results() -> Results:
    accepted = [
        Figure("accepted", 5000, "votes/s", 6000, "a handler", Goal(ratio=0.9)),
        Figure("accepted again", 5900, "votes/s", 6000, "a <handler>", Goal(ratio=0.9)),
        Figure("CPU of all", 90.0, "s/M votes"),
    ]
    points = [{"many": many, "cost": 10.0 + many, "rate": 1.0} for many in (1, 2, 4)]
    line = {"what": "counted", "unit": "CPU s/M votes", "points": points}
    samples = [{"seconds": float(s), "megabytes": {"api": 40.0, "kafka": 200.0 + s}, "lag": 0} for s in range(10)]
    parts: list[dict[str, Any]] = [
        {
            "part": "http",
            "name": "HTTP: one API process, 64 connections",
            "figures": [figure.document() for figure in accepted],
            "raw": {"votes": 500_000, "cpu_seconds": {"api": 10.0, "kafka": 5.0}},
        },
        {"part": "growth", "name": "growth", "figures": [], "raw": {name: line for name in ("voters", "polls")}},
        {"part": "soak", "name": "soak", "figures": [], "raw": {"samples": samples}},
    ]
    document = {
        "measured_at": "2025-01-02T03:04:05+00:00",
        "commit": "0123456789ab-dirty",
        "machine": {"processors": 2, "python": "3.11.9", "load_before": 0.125},
        "options": {"quick": True},
        "parts": parts,
    }
    return merge([document], ["http", "growth", "soak"])


def test_the_table_has_each_figure_with_its_verdict() -> None:
    table = page.table(results())
    assert "| accepted | 5,000 votes/s | 6,000 votes/s | 0.83 | ≥ 0.90 | **no** | a handler |" in table
    assert "| accepted again | 5,900 votes/s | 6,000 votes/s | 0.98 | ≥ 0.90 | yes | a <handler> |" in table
    assert "| CPU of all | 90.0 s/M votes |  |  |  |  |  |" in table
    assert "at commit `0123456` with changes on 2 processors" in table
    assert "quick sizes" in table


def test_only_what_is_between_the_markers_changes() -> None:
    before = f"# Title\n\n{page.BEGIN}\nold\n{page.END}\n\nEnd.\n"
    after = page.insert(before, "new\n")
    assert after == f"# Title\n\n{page.BEGIN}\n\nnew\n\n{page.END}\n\nEnd.\n"
    assert page.insert(after, "new") == after


@pytest.mark.parametrize("text", ["", page.BEGIN, page.END + page.BEGIN, page.BEGIN + page.END + page.END])
def test_a_page_without_its_markers_is_left_alone(text: str) -> None:
    with pytest.raises(ValueError, match="once each"):
        page.insert(text, "new")


def test_the_real_page_has_its_markers() -> None:
    assert f"{page.BEGIN}\n\nnothing\n\n{page.END}" in page.insert(page.PAGE.read_text(encoding="utf-8"), "nothing")


@pytest.mark.parametrize("name", pictures.PICTURES)
def test_each_picture_is_well_formed_and_says_what_it_shows(name: str) -> None:
    picture = pictures.PICTURES[name](results())
    assert picture is not None
    root = ElementTree.fromstring(picture)
    assert root.tag == f"{SVG}svg"
    assert root.findtext(f"{SVG}title")
    assert f"performance-{name}.svg" in page.PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", pictures.PICTURES)
def test_what_was_not_measured_is_not_drawn(name: str) -> None:
    assert pictures.PICTURES[name](Results({})) is None


def test_a_bar_shows_whether_its_goal_is_reached() -> None:
    root = ElementTree.fromstring(pictures.limits(results()) or "")
    bars = [one for one in root.iter(f"{SVG}rect") if one.find(f"{SVG}title") is not None]
    assert [one.get("fill") for one in bars] == [drawing.BAD, drawing.GOOD]
    widths = [float(one.get("width", "0")) for one in bars]
    assert widths[0] / widths[1] == pytest.approx(5000 / 5900, rel=0.01)


def test_a_stack_is_as_long_as_all_its_processes() -> None:
    root = ElementTree.fromstring(pictures.cpu(results()) or "")
    words = [one.text for one in root.iter(f"{SVG}title")]
    assert "api: 20.0 s" in words
    assert "kafka: 10.0 s" in words
    assert any(one.text == "30 s" for one in root.iter(f"{SVG}text"))


def test_doublings_lie_evenly() -> None:
    axes = drawing.Axes(100, 0, 300, 100, 1, 8, 10, doubling=True)
    assert [axes.at((many, 5.0)) for many in (1, 2, 4, 8)] == [(100, 50), (200, 50), (300, 50), (400, 50)]


def test_words_below_an_axis_do_not_stand_in_each_other() -> None:
    axes = drawing.Axes(100, 0, 300, 100, 0, 300, 10)
    found = [ElementTree.fromstring(one).text for one in axes.marks({0: "0", 270: "270", 290: "290", 300: "300"})]
    assert found == ["300", "270", "0"]


@pytest.mark.parametrize(("value", "rounded"), [(0.03, 0.04), (1, 1), (1.01, 2), (99, 100), (4123, 5000), (0, 1)])
def test_an_axis_ends_at_a_round_number(value: float, rounded: float) -> None:
    assert drawing.round_up(value) == pytest.approx(rounded)
