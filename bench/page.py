"""Measuring: writes the table of docs/performance.md, between its two markers, from files of results.

    python -m bench.page bench/results/20250101-120000.json

Several files may be named: of a part that is in more than one of them the last counts.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.parts import PARTS
from bench.report import amount
from bench.results import Results, read

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

_REACHED = {None: "", True: "yes", False: "**no**"}


def table(results: Results) -> str:
    """All figures, a table for each part, below what they were measured on."""
    return "\n".join([*_runs(results), *(line for part in results.parts.values() for line in _part(part))])


def insert(page: str, text: str) -> str:
    """The page, with this text between its markers.

    Raises:
        ValueError: it has not both markers, once each and in order.
    """
    if page.count(BEGIN) != 1 or page.count(END) != 1 or page.index(BEGIN) > page.index(END):
        raise ValueError(f"the page needs {BEGIN} and then {END}, once each")
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n\n{text.strip()}\n\n{END}{after}"


def _runs(results: Results) -> Iterator[str]:
    for run in results.runs():
        machine = run["machine"]
        commit, _, dirty = str(run["commit"]).partition("-")
        changed = " with changes" if dirty else ""
        quick = ", in its quick sizes, which mean little" if run["options"].get("quick") else ""
        yield (
            f"- Measured {run['measured_at'][:10]} at commit `{commit[:7]}`{changed} on {machine['processors']} "
            f"processors, Python {machine['python']}, load before {machine['load_before']:.1f}{quick}."
        )
    yield ""


def _part(part: Mapping[str, Any]) -> Iterator[str]:
    yield f"**{part['name']}** (`--only {part['part']}`)"
    yield ""
    yield "| what | measured | limit | ratio | must be | reached | the limit is |"
    yield "|---|--:|--:|--:|---|---|---|"
    for figure in part["figures"]:
        limit = "" if figure["limit"] is None else amount(figure["limit"], figure["unit"])
        ratio = "" if figure["ratio"] is None else f"{figure['ratio']:.2f}"
        cells = [
            figure["name"],
            amount(figure["value"], figure["unit"]),
            limit,
            ratio,
            figure["must"] or "",
            _REACHED[figure["reached"]],
            figure["limit_name"],
        ]
        yield f"| {' | '.join(cells)} |"
    yield ""


def main(paths: list[str]) -> None:
    """Writes it."""
    text = table(read(paths, list(PARTS)))
    PAGE.write_text(insert(PAGE.read_text(encoding="utf-8"), text), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
