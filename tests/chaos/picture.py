"""Chaos: draws a run from its JSON: throughput, lag and faults over time, as one SVG.

PYTHONPATH=tests .venv/bin/python -m chaos.picture .test/chaos/chaos.json docs/chaos.svg
"""

from __future__ import annotations

import html
import json
import math
import sys
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

WIDTH, LEFT, RIGHT, TOP = 1100, 70, 20, 46
PANEL, GAP, LANE = 150, 44, 9
INK, SOFT, GRID = "#222", "#666", "#e4e4e4"
ACCEPTED, COUNTED, UNKNOWN, LAG = "#1f6fb2", "#2a9d5c", "#d1495b", "#b07d2b"
KINDS = {
    "kill": "#d1495b", "freeze": "#4b7bec", "die": "#8e44ad", "slow": "#f0a830", "cut": "#e07b39", "silent": "#7f8c8d",
    "torn": "#c0392b", "disk": "#16a085", "clock": "#2c3e50",
}  # fmt: skip
OTHER = "#555"

Point = tuple[float, float]


class Panel(NamedTuple):
    """A part of the picture with its own scale; `top` is its upper edge."""

    top: float
    seconds: float
    greatest: float

    def at(self, point: Point) -> str:
        second, value = point
        x = LEFT + (WIDTH - LEFT - RIGHT) * second / self.seconds
        y = self.top + PANEL * (1 - min(value, self.greatest) / self.greatest)
        return f"{x:.1f},{y:.1f}"

    def frame(self, title: str) -> str:
        """Title, lines across, and what they stand for."""
        parts = [f'<text x="{LEFT}" y="{self.top - 8:.0f}" fill="{INK}" font-weight="600">{html.escape(title)}</text>']
        for step in range(5):
            value = self.greatest * step / 4
            y = self.top + PANEL * (1 - step / 4)
            parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{GRID}"/>')
            parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" fill="{SOFT}" text-anchor="end">{value:,.0f}</text>')
        return "\n".join(parts)

    def line(self, points: Iterable[Point], colour: str) -> str:
        path = " ".join(map(self.at, points))
        return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.2"/>' if path else ""


def draw(run: dict[str, Any]) -> str:
    """The whole picture."""
    seconds = max([run["seconds"], *(one["at"] for one in run["samples"]), 1.0])
    accepted, unknown = _rates(run["accepted"], seconds), _rates(run["unknown"], seconds)
    counted = _differences([(one["at"], one["counted"]) for one in run["samples"] if one["counted"] is not None])
    lag = _runs([(one["at"], one["lag"]) for one in run["samples"]])
    throughput = Panel(TOP + GAP, seconds, _round_up(max(value for _, value in [*accepted, (0, 1)])))
    lags = Panel(throughput.top + PANEL + GAP, seconds, _round_up(max([1, *(v for part in lag for _, v in part)])))
    lanes = _lanes(run["faults"])
    faults_top = lags.top + PANEL + GAP
    height = faults_top + LANE * (len(lanes) + 1) + 30
    title = f"{run['seconds'] / 60:.0f} minutes of faults, {run['brokers']} brokers, seed {run['seed']}"
    wrong = len(run["violations"])
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
            'font-family="system-ui, sans-serif" font-size="12">',
            f"<title>{html.escape(title)}</title>",
            f'<rect width="{WIDTH}" height="{height:.0f}" fill="white"/>',
            f'<text x="{LEFT}" y="24" font-size="16" fill="{INK}">{html.escape(title)}: {wrong} violations</text>',
            throughput.frame("votes a second"),
            _legend(throughput.top - 8, {"accepted": ACCEPTED, "counted": COUNTED, "unknown": UNKNOWN}),
            throughput.line(counted, COUNTED),
            throughput.line(accepted, ACCEPTED),
            throughput.line(unknown, UNKNOWN),
            lags.frame("lag: records not counted yet (a gap: nobody could be asked)"),
            *(lags.line(part, LAG) for part in lag),
            f'<text x="{LEFT}" y="{faults_top - 8:.0f}" fill="{INK}" font-weight="600">faults</text>',
            _legend(faults_top - 8, {**KINDS, "other": OTHER}),
            *_bars(lanes, faults_top, seconds),
            *_minutes(seconds, height - 10),
            "</svg>",
        ]
    )


def _rates(seconds: dict[str, int], until: float) -> list[Point]:
    return [(second, seconds.get(str(second), 0)) for second in range(math.ceil(until))]


def _differences(sums: Sequence[tuple[float, int]]) -> list[Point]:
    return [(after[0], max(0.0, (after[1] - before[1]) / (after[0] - before[0]))) for before, after in pairwise(sums)]


def _runs(samples: Iterable[tuple[float, int | None]]) -> list[list[Point]]:
    """The samples between gaps."""
    parts: list[list[Point]] = [[]]
    for at, value in samples:
        if value is not None:
            parts[-1].append((at, value))
        elif parts[-1]:
            parts.append([])
    return [part for part in parts if part]


def _lanes(faults: Iterable[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Faults that overlap, one below the other."""
    lanes: list[list[dict[str, Any]]] = []
    for fault in sorted(faults, key=lambda one: one["began"]):
        free = next((lane for lane in lanes if lane[-1]["ended"] + 1 < fault["began"]), None)
        if free is None:
            lanes.append([fault])
        else:
            free.append(fault)
    return lanes


def _bars(lanes: list[list[dict[str, Any]]], top: float, seconds: float) -> Iterable[str]:
    scale = (WIDTH - LEFT - RIGHT) / seconds
    for number, lane in enumerate(lanes):
        for fault in lane:
            x, width = LEFT + fault["began"] * scale, max(1.5, (fault["ended"] - fault["began"]) * scale)
            words = f"{fault['name']}, {fault['began']:.0f} s to {fault['ended']:.0f} s"
            yield (
                f'<rect x="{x:.1f}" y="{top + LANE * number:.1f}" width="{width:.1f}" height="{LANE - 2}" '
                f'fill="{_colour(fault["name"])}"><title>{html.escape(words)}</title></rect>'
            )


def _minutes(seconds: float, y: float) -> Iterable[str]:
    step = 5 if seconds > 900 else 1
    for minute in range(0, int(seconds // 60) + 1, step):
        x = LEFT + (WIDTH - LEFT - RIGHT) * minute * 60 / seconds
        yield f'<text x="{x:.1f}" y="{y:.0f}" fill="{SOFT}" text-anchor="middle">{minute} min</text>'


def _legend(y: float, entries: dict[str, str]) -> str:
    parts = []
    x = WIDTH - RIGHT - 78 * len(entries)
    for name, colour in entries.items():
        parts.append(f'<rect x="{x}" y="{y - 9:.0f}" width="10" height="10" fill="{colour}"/>')
        parts.append(f'<text x="{x + 14}" y="{y:.0f}" fill="{SOFT}">{name}</text>')
        x += 78
    return "\n".join(parts)


def _colour(fault: str) -> str:
    return KINDS.get(fault.replace(":", " ").partition(" ")[0], OTHER)


def _round_up(value: float) -> float:
    power: int = 10 ** math.floor(math.log10(max(value, 1)))
    return next(power * step for step in (1, 2, 4, 5, 8, 10) if power * step >= value)


def main(source: str, target: str) -> None:
    run = json.loads(Path(source).read_text(encoding="utf-8"))
    Path(target).write_text(draw(run) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
