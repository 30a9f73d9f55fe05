"""Measuring: the little of SVG that our pictures need: bars, and lines over axes, in one style."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

WIDTH = 900
INK, SOFT, GRID, GOOD, BAD = "#222", "#666", "#e4e4e4", "#2a9d5c", "#d1495b"
COLOURS = ("#1f6fb2", "#2a9d5c", "#b07d2b", "#d1495b", "#8e44ad", "#16a085", "#e07b39", "#4b7bec", "#7f8c8d", "#2c3e50")

_LETTER = 7.0  # how wide one is

Point = tuple[float, float]


def document(title: str, height: float, parts: Iterable[str]) -> str:
    """A whole picture."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
            'font-family="system-ui, sans-serif" font-size="12">',
            f"<title>{html.escape(title)}</title>",
            f'<rect width="{WIDTH}" height="{height:.0f}" fill="white"/>',
            text(20, 26, title, size=16),
            *parts,
            "</svg>",
            "",
        ]
    )


def text(x: float, y: float, words: str, *, fill: str = INK, anchor: str = "start", size: int = 12) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{fill}" text-anchor="{anchor}" font-size="{size}">'
        f"{html.escape(words)}</text>"
    )


def bar(x: float, y: float, width: float, height: float, fill: str, words: str) -> str:
    """A rectangle that says these words when it is pointed at."""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" height="{height:.1f}" fill="{fill}">'
        f"<title>{html.escape(words)}</title></rect>"
    )


def rule(x1: float, y1: float, x2: float, y2: float, stroke: str = GRID) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}"/>'


def legend(x: float, y: float, names: Sequence[str]) -> list[str]:
    """The names with their colours, in a column."""
    return [
        piece
        for number, name in enumerate(names)
        for piece in (
            bar(x, y + 16 * number - 9, 10, 10, colour(number), name),
            text(x + 15, y + 16 * number, name, fill=SOFT),
        )
    ]


def colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def round_up(value: float) -> float:
    """The next number that looks well at the end of an axis."""
    power = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return next(power * step for step in (1, 2, 4, 5, 8, 10) if power * step >= value)


class Axes(NamedTuple):
    """A plot's place in the picture, and the values at its edges; x runs evenly over doublings where `doubling`."""

    left: float
    top: float
    width: float
    height: float
    x_first: float
    x_last: float
    y_last: float
    doubling: bool = False

    def at(self, point: Point) -> Point:
        """Where in the picture that is."""
        first, last, x = (
            math.log2(max(v, 1e-9)) if self.doubling else v for v in (self.x_first, self.x_last, point[0])
        )
        across = (x - first) / (last - first) if last > first else 0.5
        return self.left + self.width * across, self.top + self.height * (1 - min(point[1] / self.y_last, 1.0))

    def frame(self, title: str) -> list[str]:
        """The title, and lines across with what they stand for."""
        parts = [text(self.left, self.top - 10, title)]
        for step in range(5):
            value = self.y_last * step / 4
            y = self.top + self.height * (1 - step / 4)
            parts += [rule(self.left, y, self.left + self.width, y)]
            parts += [text(self.left - 6, y + 4, f"{value:,.4g}", fill=SOFT, anchor="end")]
        return parts

    def marks(self, words: Mapping[float, str]) -> list[str]:
        """Words below the axis, from the right on; those that would stand in the next ones are left out."""
        parts: list[str] = []
        room = math.inf
        for x, word in sorted(words.items(), reverse=True):
            place, half = self.at((x, 0))[0], (len(word) + 1) * _LETTER / 2
            if place + half <= room:
                parts.append(text(place, self.top + self.height + 16, word, fill=SOFT, anchor="middle"))
                room = place - half
        return parts

    def line(self, points: Sequence[Point], stroke: str, dots: bool = False) -> list[str]:
        places = [self.at(point) for point in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        circles = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{stroke}"/>' for x, y in places] if dots else []
        return [f'<polyline points="{path}" fill="none" stroke="{stroke}" stroke-width="1.5"/>', *circles]
