"""Measuring: counting with many ballots stored already, beside the same with none.

All of them are the hot poll's own, so that its index is as large as it can be. New plain ballots go to the index's
end; new HMAC ones fall between all that are there.
"""

from __future__ import annotations

from typing import Any

from bench import ledger
from bench.http_accept import OPTIONS
from bench.log_to_counted import Run, let_go
from bench.producing import produce
from bench.report import Figure, Goal, Part
from bench.system import WORKER_PROCESSES, System


def measure(*, votes: int, stored: int, changing: bool) -> Part:
    """`votes` through the pipeline, twice: to an empty table, and to one with `stored` ballots."""
    runs: dict[int, Run] = {}
    for already in (0, stored):
        with System() as system:
            poll = ledger.seed(system, 1, changing)
            if already:
                ledger.store(system, poll, already)
            expected = produce(system, poll, votes)
            runs[already] = let_go(system, votes)
            before = [already // len(OPTIONS) + (number < already % len(OPTIONS)) for number in range(len(OPTIONS))]
            ledger.check(system, poll, [old + new for old, new in zip(before, expected, strict=True)])
    kind = "HMAC ballots, one vote of five a change" if changing else "plain ballots"
    figure = Figure(
        "counted in an index of HMAC ballots" if changing else "counted in an index of plain ballots",
        runs[stored].rate,
        "votes/s",
        runs[0].rate,
        "the same with none stored",
        Goal(ratio=0.5 if changing else 0.8),
    )
    raw: dict[str, Any] = {f"{already} stored": run._asdict() for already, run in runs.items()}
    name = f"with {stored:,} ballots stored: {votes:,} votes, {kind}, {WORKER_PROCESSES} worker processes"
    return Part(name, [figure], {"votes": votes, "stored": stored, **raw})
