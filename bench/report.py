"""Measuring: what the figures look like: a table to read, and a JSON file to compare."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).with_name("results")


@dataclasses.dataclass(frozen=True)
class Goal:
    """What a figure must reach: a `ratio` to its limit, a `value` in its own unit, or both.

    `most`: it may not be more than that; otherwise not less.
    """

    ratio: float | None = None
    value: float | None = None
    most: bool = False

    def text(self, unit: str) -> str:
        """In words, as in `≥ 0.90, ≥ 60,000 votes/s`."""
        sign = "≤" if self.most else "≥"
        ratio = [] if self.ratio is None else [f"{sign} {self.ratio:.2f}"]
        value = [] if self.value is None else [f"{sign} {self.value:,g} {unit}"]
        return ", ".join([*ratio, *value])

    def reached(self, value: float, ratio: float | None) -> bool:
        """Whether both hold. A ratio is wanted only of figures that have a limit."""
        pairs = [(ratio, self.ratio), (value, self.value)]
        wanted = [(is_, must) for is_, must in pairs if is_ is not None and must is not None]
        return all(is_ <= must if self.most else is_ >= must for is_, must in wanted)


@dataclasses.dataclass(frozen=True)
class Figure:
    """One measured number beside its limit: what this machine did in the same run with everything else taken away.

    `ratio` is of the figure to the limit: of rates at most about 1, of times at least about 1. None without a limit.
    """

    name: str
    value: float
    unit: str
    limit: float | None = None
    limit_name: str = ""
    goal: Goal | None = None

    @property
    def ratio(self) -> float | None:
        return self.value / self.limit if self.limit else None

    @property
    def reached(self) -> bool | None:
        """Whether the goal is; None without one."""
        return None if self.goal is None else self.goal.reached(self.value, self.ratio)

    def document(self) -> dict[str, Any]:
        """All of it, for the file."""
        goal = None if self.goal is None else self.goal.text(self.unit)
        return {**dataclasses.asdict(self), "ratio": self.ratio, "must": goal, "reached": self.reached}


@dataclasses.dataclass(frozen=True)
class Part:
    """What one part of the measuring found. `raw` is all that went into it, for the file; `key` is what `--only` calls
    it."""

    name: str
    figures: Sequence[Figure]
    raw: dict[str, Any]
    key: str = ""


def show(parts: Sequence[Part]) -> None:
    """Prints the tables."""
    console = Console(width=None if os.isatty(1) else 140)
    for part in parts:
        table = Table(title=part.name, title_justify="left", title_style="bold")
        table.add_column("figure")
        table.add_column("measured", justify="right")
        table.add_column("limit", justify="right")
        table.add_column("ratio", justify="right")
        table.add_column("must be")
        table.add_column("the limit is")
        for figure in part.figures:
            ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
            limit = "" if figure.limit is None else amount(figure.limit, figure.unit)
            must = "" if figure.goal is None else f"{figure.goal.text(figure.unit)} {'✓' if figure.reached else '✗'}"
            table.add_row(figure.name, amount(figure.value, figure.unit), limit, ratio, must, figure.limit_name)
        console.print(table)


def write(parts: Sequence[Part], options: dict[str, Any], load: float, failed: Mapping[str, str]) -> Path:
    """Writes all that is known into a new file; answers where.

    `load`: the machine's average before the first part. `failed`: what was wrong with a part, by its name.
    """
    now = datetime.now(UTC)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{now:%Y%m%d-%H%M%S}.json"
    document = {
        "measured_at": now.isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": {
            "system": platform.platform(),
            "python": platform.python_version(),
            "processors": len(os.sched_getaffinity(0)),
            "load_before": load,
        },
        "options": options,
        "failed": dict(failed),
        "parts": [
            {
                "part": part.key,
                "name": part.name,
                "figures": [figure.document() for figure in part.figures],
                "raw": part.raw,
            }
            for part in parts
        ],
    }
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return path


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which that share (0 to 1) of them lies, as one of them."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def cpu_figures(seconds: dict[str, float], votes: int) -> list[Figure]:
    """CPU seconds of each role for a million votes, the greatest first; roles that used next to none are left out."""
    by_role = sorted(seconds.items(), key=lambda item: -item[1])
    scale = 1_000_000 / votes
    figures = [Figure(f"CPU of {role}", used * scale, "s/M votes") for role, used in by_role if used * scale >= 0.05]
    return [*figures, Figure("CPU of all", sum(seconds.values()) * scale, "s/M votes")]


def amount(value: float, unit: str) -> str:
    """A number as people read it, with its unit."""
    number = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
    return f"{number} {unit}"


def _commit() -> str | None:
    """The commit, with `-dirty` behind it where files were changed since."""
    words = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    done = subprocess.run(words, cwd=RESULTS.parent, capture_output=True, text=True, timeout=10, check=False)
    return done.stdout.strip() or None
