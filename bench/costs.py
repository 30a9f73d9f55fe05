"""Scaling on paper: what one vote, frame, socket and batch costs, as a benchmark measured it; kept in `costs.json`.

    python -m bench.costs bench/results/20250101-120000.json

takes it from files of results: of a part that is in more than one of them the last counts.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.results import Results, read

COSTS = Path(__file__).with_name("costs.json")
PARTS = ("http", "http-all", "sockets", "batch", "log", "hot-row", "latency", "fan-out", "idle", "bytes")
WAYS = {"http": "http", "sockets": "sockets", "log": "1 polls", "log, 10,000 polls": "10000 polls"}
"""Where CPU seconds by process were measured; the first word is the part."""


@dataclasses.dataclass(frozen=True)
class Costs:
    """`cpu`: microseconds of one vote, by way and process. `figures`: what the page shows, by part and name, and
    beside `limits`. `batch`: votes for which rows were held. `runs`: when, at which commit, and on how many
    processors."""

    runs: list[dict[str, Any]]
    batch: int
    cpu: dict[str, dict[str, float]]
    figures: dict[str, dict[str, float]]

    def figure(self, part: str, name: str) -> float:
        """One of the page's figures."""
        return self.figures[part][name]


def load(path: Path = COSTS) -> Costs:
    """What is kept."""
    return Costs(**json.loads(path.read_text(encoding="utf-8")))


def take(results: Results) -> Costs:
    """What these results say.

    Raises:
        KeyError: a part is in none of them.
    """
    cpu = {}
    for way, within in WAYS.items():
        raw = results.parts[way.partition(",")[0]]["raw"]
        cpu[way] = dict(_microseconds(raw.get(within, raw)))
    runs = [
        {
            "measured_at": run["measured_at"],
            "commit": run["commit"],
            "processors": run["machine"]["processors"],
            "parts": [name for name, part in results.parts.items() if part["run"] is run],
        }
        for run in results.runs()
    ]
    figures = {
        name: {figure["name"]: round(float(figure["value"]), 4) for figure in results.parts[name]["figures"]}
        for name in PARTS
    }
    return Costs(runs, results.parts["hot-row"]["raw"]["batch"], cpu, figures)


def _microseconds(raw: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Of one vote, by process; `client` is the load generator, where it was measured."""
    votes = raw.get("measured") or raw["votes"]
    for role, seconds in raw.get("cpu_seconds", raw.get("cpu")).items():
        yield role, round(seconds / votes * 1e6, 3)
    clients = [run for run in raw.get("door", ()) if "client_cpu_seconds" in run]
    if clients:
        answered = sum(run.get("requests", run.get("answered", 0)) for run in clients)
        yield "client", round(sum(run["client_cpu_seconds"] for run in clients) / answered * 1e6, 3)


def main(paths: list[str]) -> None:
    """Writes them."""
    costs = take(read(paths, list(PARTS)))
    COSTS.write_text(json.dumps(dataclasses.asdict(costs), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
