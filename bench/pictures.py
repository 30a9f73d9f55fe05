"""Measuring: draws docs/performance-*.svg from files of results alone.

    python -m bench.pictures bench/results/20250101-120000.json

Several files may be named: of a part that is in more than one of them the last counts. A picture of which nothing was
measured stays as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Any

from bench import drawing
from bench.drawing import BAD, GOOD, INK, SOFT, WIDTH, Axes
from bench.parts import PARTS
from bench.results import Results, read

DOCS = Path(__file__).parents[1] / "docs"
_CPU_PARTS = ("http", "http-all", "sockets")
_MOST_RATIO = 1.5
_ROW = 22


def limits(results: Results) -> str | None:
    """A bar for each figure that must come close to its limit, as a part of it, and a mark where it must reach."""
    rows = [
        (f"{key}: {figure['name']}", figure)
        for key, part in results.parts.items()
        for figure in part["figures"]
        if figure["goal"] and figure["goal"]["ratio"] is not None and figure["ratio"] is not None
        if not figure["goal"]["most"]
    ]
    if not rows:
        return None
    left, top = 330.0, 60.0
    scale = (WIDTH - left - 90) / _MOST_RATIO
    pieces = [drawing.rule(left + scale, top - 12, left + scale, top + _ROW * len(rows), SOFT)]
    pieces += [drawing.text(left + scale, top - 16, "the limit", fill=SOFT, anchor="middle")]
    for number, (name, figure) in enumerate(rows):
        y = top + _ROW * number
        ratio, must = figure["ratio"], figure["goal"]["ratio"]
        words = f"{name}: {ratio:.2f} of its limit ({figure['limit_name']}), must be {must:.2f}"
        fill = GOOD if ratio >= must else BAD
        pieces += [drawing.text(left - 8, y + 12, name, anchor="end")]
        pieces += [drawing.bar(left, y + 2, scale * min(ratio, _MOST_RATIO), 13, fill, words)]
        pieces += [drawing.rule(left + scale * must, y - 1, left + scale * must, y + 18, INK)]
        beside = max(min(ratio, _MOST_RATIO), must)
        pieces += [drawing.text(left + scale * beside + 6, y + 12, f"{ratio:.2f}", fill=SOFT)]
    title = "Measured, as a part of the limit in the same run (black: what it must reach)"
    return drawing.document(title, top + _ROW * len(rows) + 20, pieces)


def cpu(results: Results) -> str | None:
    """CPU seconds for a million votes, by process, for each way in which votes come."""
    shown = {name: results.parts[name] for name in _CPU_PARTS if name in results.parts}
    if not shown:
        return None
    costs = {
        part["name"].partition(",")[0]: {
            role: seconds * 1_000_000 / part["raw"]["votes"] for role, seconds in part["raw"]["cpu_seconds"].items()
        }
        for part in shown.values()
    }
    roles = sorted(
        {role for cost in costs.values() for role in cost}, key=lambda r: -sum(c.get(r, 0) for c in costs.values())
    )
    left, top, height = 260.0, 56.0, 34
    scale = (WIDTH - left - 160) / drawing.round_up(max(sum(cost.values()) for cost in costs.values()))
    pieces = drawing.legend(WIDTH - 110, top + 10, roles)
    for number, (name, cost) in enumerate(costs.items()):
        y = top + height * number
        pieces += [drawing.text(left - 8, y + 18, name, anchor="end")]
        begins = [0.0, *accumulate(cost.get(role, 0.0) for role in roles)]
        for which, role in enumerate(roles):
            used = cost.get(role, 0.0)
            pieces += [
                drawing.bar(
                    left + scale * begins[which],
                    y + 4,
                    scale * used,
                    20,
                    drawing.colour(which),
                    f"{role}: {used:.1f} s",
                )
            ]
        pieces += [drawing.text(left + scale * begins[-1] + 6, y + 18, f"{begins[-1]:.0f} s", fill=SOFT)]
    bottom = top + max(height * len(costs), 16 * len(roles)) + 16
    return drawing.document("CPU seconds for a million votes, accepted and counted", bottom, pieces)


def growth(results: Results) -> str | None:
    """What one vote or frame costs, against how many there are of each: four plots."""
    if "growth" not in results.parts:
        return None
    pieces: list[str] = []
    for number, (name, line) in enumerate(results.parts["growth"]["raw"].items()):
        points = [(float(point["many"]), float(point["cost"])) for point in line["points"]]
        top = 70.0 + 240 * (number // 2)
        most = drawing.round_up(max(cost for _, cost in points))
        axes = Axes(70 + 430 * (number % 2), top, 340, 150, points[0][0], points[-1][0], most, doubling=True)
        pieces += axes.frame(f"{name}: {line['unit']}, {line['what']}")
        pieces += axes.line(points, drawing.colour(number), dots=True)
        pieces += axes.marks({many: f"{many:,.0f}" for many, _ in points})
    return drawing.document("What one costs where there are more", 70 + 240 * 2, pieces)


def soak(results: Results) -> str | None:
    """The memory of each process over the minutes."""
    if "soak" not in results.parts:
        return None
    part = results.parts["soak"]
    samples: list[dict[str, Any]] = part["raw"]["samples"]
    names = sorted(samples[-1]["megabytes"], key=lambda name: -samples[-1]["megabytes"][name])
    most = drawing.round_up(max(size for sample in samples for size in sample["megabytes"].values()))
    seconds = max(sample["seconds"] for sample in samples)
    axes = Axes(70, 70, WIDTH - 230, 300, 0, seconds, most)
    pieces = axes.frame("MB that are each process's alone")
    for number, name in enumerate(names):
        points = [(float(sample["seconds"]), float(sample["megabytes"].get(name, 0.0))) for sample in samples]
        pieces += axes.line(points, drawing.colour(number))
    pieces += axes.marks({seconds * step / 5: f"{seconds * step / 5:.0f} s" for step in range(6)})
    return drawing.document(part["name"], 410, pieces + drawing.legend(WIDTH - 140, 80, names))


PICTURES: dict[str, Callable[[Results], str | None]] = {"limits": limits, "cpu": cpu, "growth": growth, "soak": soak}


def main(paths: list[str]) -> None:
    """Draws them all."""
    results = read(paths, list(PARTS))
    for name, draw in PICTURES.items():
        picture = draw(results)
        if picture is not None:
            (DOCS / f"performance-{name}.svg").write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
