"""Scaling on paper: the tables of docs/scaling.md, and those of any rate.

python -m bench.scaling                              prints the tables
python -m bench.scaling --write                      writes them into the page, between its markers
python -m bench.scaling --rate 250000 --polls many   what that rate needs, and what each stage does then
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import plans
from bench.costs import Costs, load
from bench.page import insert
from bench.plans import MANY, RATES
from bench.scaling_crowds import crowds, sockets, stored, told
from bench.scaling_text import amount, polls_in_words, table, whole

PAGE = Path(__file__).parents[1] / "docs" / "scaling.md"
CASES = [(rate, polls) for rate in RATES for polls in (1, MANY)]
"""Votes a second, and the polls that they are for."""

_WAYS = {
    "http": "by HTTP, one by one",
    "sockets": "by socket",
    "log": "from a log that is full, to one poll",
    f"log, {MANY:,} polls": f"the same, to {MANY:,} polls",
}
_STAGES = {
    "API process": ("1", "more containers, or `API_PROCESSES`"),
    "processor of Kafka": ("16", "more brokers: partitions lead on all of them"),
    "bridge": ("1", "`--scale bridge`, one for each partition at most"),
    "worker process": ("2", "`--scale worker`, `WORKER_CONCURRENCY`"),
    "processor of PostgreSQL": ("16", "a larger server, then databases by hash of the poll"),
    "rows of tallies": ("1", "databases by hash of the poll; for one poll larger batches, or several rows"),
}


def tables(costs: Costs) -> str:
    """All of them, each below what it is."""
    parts = [_runs, _costs, _checks, _capacities, _plans, _simulated, _steps, stored, told, sockets, crowds]
    return "\n".join(line for part in parts for line in [*part(costs), ""])


def _runs(costs: Costs) -> Iterator[str]:
    for run in costs.runs:
        commit, _, dirty = run["commit"].partition("-")
        yield (
            f"- Costs measured {run['measured_at'][:10]} at commit `{commit[:7]}`{' with changes' if dirty else ''} on "
            f"{run['processors']} processors: {', '.join(f'`{part}`' for part in run['parts'])}."
        )


def _costs(costs: Costs) -> Iterator[str]:
    yield "**CPU microseconds of one vote, by process** (measured; the client's where it was)"
    yield ""
    roles = [role for role in ("api", "kafka", "bridge", "worker", "postgres", "client") if role in costs.cpu["http"]]
    rows = [
        [_WAYS[way], *(f"{used[role]:.1f}" if role in used else "" for role in roles)]
        for way, used in costs.cpu.items()
    ]
    yield from table(["votes", *roles], rows)
    yield ""
    yield f"**Milliseconds for which a batch of {costs.batch:,} votes holds the rows that count** (measured)"
    yield ""
    held = [[polls_in_words(polls), *(f"{ms:.1f}" for ms in plans.rows(costs, polls))] for polls in (1, MANY)]
    yield from table(["to", "held", "of that the commit"], held)


def _checks(costs: Costs) -> Iterator[str]:
    yield "**The simulation beside what was measured on the same machine**"
    yield ""
    rows = []
    for check in plans.checks(costs):
        error = f"{check.predicted / check.measured - 1:+.0%}".replace("-", "−")
        rows.append([check.what, amount(check.predicted), amount(check.measured), check.unit, error])
    yield from table(["what", "simulated", "measured", "unit", "error"], rows)


def _capacities(costs: Costs) -> Iterator[str]:
    yield "**Votes a second that one server of a stage carries with all of its time** (computed; that Kafka and"
    yield f"PostgreSQL have a server of {plans.SERVER} processors each is assumed)"
    yield ""
    few, many = (plans.capacity(costs, RATES[-1], polls) for polls in (1, MANY))
    stages = zip(_STAGES.items(), few, many, strict=True)
    rows = [[name, n, by, whole(one), whole(other)] for (name, (n, by)), one, other in stages]
    for way, each in plans.ways(costs).items():
        rows.insert(1, [f"API process, {way}", "", "", whole(each), whole(each)])
    yield from table(["one", "Compose starts", "more by", "one poll", f"{MANY:,} polls"], rows, words=3)


def _steps(costs: Costs) -> Iterator[str]:
    yield "**What is full first where more votes come than it was made for** (computed)"
    yield ""
    rows = []
    for polls in (1, MANY):
        made = {"as Compose starts it": plans.STARTED} | {
            f"made for {rate:,}": plans.plan(costs, rate, polls) for rate in RATES
        }
        for name, machines in made.items():
            stage, full = plans.first_full(costs, machines, polls)
            rows.append([f"{name}, {polls_in_words(polls)}", list(_STAGES)[stage], whole(full)])
    yield from table(["machines", "first full", "at votes/s"], rows, words=2)


def _plans(costs: Costs, cases: Sequence[tuple[int, int]] = CASES) -> Iterator[str]:
    yield f"**What is needed, with each stage at {plans.USED:.0%} at most** (computed)"
    yield ""
    rows = []
    for rate, polls in cases:
        plan = plans.plan(costs, rate, polls)
        brokers = math.ceil(plan.cores["kafka"] / plans.SERVER)
        row = [
            f"{rate:,} to {polls_in_words(polls)}",
            *map(whole, (plan.api, plan.cores["kafka"], max(3, brokers), plan.bridges, plan.workers)),
            *map(whole, (plan.cores["postgres"], plan.rows, _partitions(plan.bridges, plan.workers))),
        ]
        rows.append(row)
    head = ["votes/s", "API processes", "processors of Kafka", "brokers", "bridges", "worker processes"]
    yield from table([*head, "processors of PostgreSQL", "databases", "partitions"], rows)


def _partitions(bridges: int, workers: int) -> int:
    """Twice as many as readers, so that they are spread evenly, and a power of two."""
    return int(max(8, 2 ** math.ceil(math.log2(2 * max(bridges, workers / 2)))))


def _simulated(costs: Costs, cases: Sequence[tuple[int, int]] = CASES) -> Iterator[str]:
    yield "**These plans under votes at random times** (simulated: the part of their time for which servers are taken,"
    yield "and the milliseconds that are waited for one, mean / p99)"
    yield ""
    rows, names = [], list[str]()
    for rate, polls in cases:
        outcome = plans.simulate(costs, rate, polls)
        names = names or list(outcome.stages)
        cells = [
            f"{stage.used:.0%}, {stage.wait:.1f} / {stage.longest:.1f}"
            for stage in map(outcome.stages.__getitem__, names)
        ]
        late = f"{outcome.p50:,.0f} / {outcome.p99:,.0f}"
        to = f"{rate:,} to {polls_in_words(polls)}"
        rows.append([to, plans.fullest(outcome), whole(outcome.rate), late, *cells])
    head = ["votes/s", "fullest", "counted/s", "accepted to counted, p50 / p99", *names]
    yield from table(head, rows, words=2)


def main(words: list[str]) -> None:
    """As the words say."""
    parser = argparse.ArgumentParser(prog="python -m bench.scaling", description="Scaling on paper.")
    parser.add_argument("--write", action="store_true", help="into docs/scaling.md")
    parser.add_argument("--rate", type=int, help="votes a second")
    parser.add_argument("--polls", choices=["one", "many"], default="one", help=f"one, or {MANY:,}")
    given = parser.parse_args(words)
    costs = load()
    if given.write:
        PAGE.write_text(insert(PAGE.read_text(encoding="utf-8"), tables(costs)), encoding="utf-8")
        return
    if given.rate is None:
        print(tables(costs))
        return
    chosen = [(given.rate, 1 if given.polls == "one" else MANY)]
    print("\n".join([*_plans(costs, chosen), "", *_simulated(costs, chosen)]))


if __name__ == "__main__":
    main(sys.argv[1:])
