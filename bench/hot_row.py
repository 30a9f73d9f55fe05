"""Measuring: how long a batch holds the rows that count its polls: what limits one database, however many workers.

The counting statement, told by EXPLAIN ANALYZE: rows are locked when the tallies are moved, after the ballots are
placed, and let go when the transaction has committed. Two batches that have a poll in common do that one after the
other; of thousands of votes over 10,000 polls any two have. Beside it the whole statement with its commit. One
connection; nobody else is there, so that nobody is waited for.
"""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import psycopg

from bench import ledger
from bench.bare_counting import GENERATION, Share, casts_of
from bench.log_to_counted import MANY
from bench.producing import Electorate
from bench.report import Figure, Part
from bench.system import BenchError, System
from polling.core.votes import Covered
from polling.store import arrays
from polling.store.counting import SESSION, Casts, parameters_of
from polling.store.queries import COUNT

Batch = tuple[Casts, list[int], list[Covered]]

_WHOLE = "the whole statement, with its commit"


def measure(*, rounds: int, polls: tuple[int, ...] = (1, MANY)) -> Part:
    """For each of these numbers of polls: batches of the usual size, so many in turn."""
    figures: list[Figure] = []
    raw: dict[str, Any] = {}
    with System() as system:
        batch = system.settings.bridge_batch
        for many in polls:
            found = _in_turn(system, many, batch, rounds)
            raw[f"{many} polls"] = found
            # The first ones find nothing in memory.
            whole, held, commit = (median(column) * 1000 for column in zip(*found[rounds // 4 :], strict=True))
            to = "one poll" if many == 1 else f"{many:,} polls"
            figures += [
                Figure(f"to {to}: rows are held", held, "ms", whole, _WHOLE),
                Figure(f"to {to}: of that the commit", commit, "ms"),
                Figure(f"to {to}: one held after the other", batch / held * 1000, "votes/s"),
            ]
    return Part(f"hot rows: batches of {batch:,} votes, one connection", figures, {"batch": batch, **raw})


def _in_turn(system: System, many: int, batch: int, rounds: int) -> list[tuple[float, float, float]]:
    polls = ledger.seed(system, many)
    share = Share(polls.first, many, False, batch, many, batch * rounds)
    electorate, made = Electorate(many, False, share.votes), list[bytes]()
    batches: list[Batch] = []
    for begin in range(0, share.votes, batch):
        casts, numbers = casts_of(share, electorate, made, begin, begin + batch)
        batches.append((casts, numbers, [Covered(GENERATION, many, begin, begin + batch)]))
    with psycopg.connect(system.settings.database_url, prepare_threshold=0, options=SESSION) as connection:
        arrays.register(connection)
        connection.commit()
        found = [_hold(connection, one) for one in batches]
    ledger.check(system, polls, electorate.counts)
    return found


def _hold(connection: psycopg.Connection[tuple[Any, ...]], batch: Batch) -> tuple[float, float, float]:
    """Seconds of one batch: all of it, those in which it holds the row, and those of its commit."""
    parameters = parameters_of(*batch)
    row = connection.execute(f"EXPLAIN (ANALYZE, TIMING, FORMAT JSON) {COUNT}", parameters).fetchone()
    told = time.monotonic()
    connection.commit()
    commit = time.monotonic() - told
    if row is None:
        raise BenchError("PostgreSQL does not explain the statement")
    [explained] = row[0]
    whole = float(explained["Execution Time"]) / 1000
    return whole + commit, whole - _locked_at(explained["Plan"]) + commit, commit


def _locked_at(plan: dict[str, Any]) -> float:
    """Seconds after which the tally's row was locked: when the step that moves it had its first row."""
    if plan["Node Type"] == "ModifyTable" and plan.get("Relation Name") == "tallies":
        return float(plan["Actual Startup Time"]) / 1000
    for below in plan.get("Plans", ()):
        found = _locked_at(below)
        if found:
            return found
    return 0.0
