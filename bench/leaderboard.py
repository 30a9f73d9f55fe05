"""Measuring: the leaderboard's refresh, as the periodic task makes it, over a million options in open polls.

Then with ten times the votes. Its answer is held against that of a query that looks at every option.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

from bench import ledger
from bench.http_accept import OPTIONS
from bench.ledger import Connection
from bench.report import Figure, Goal, Part
from bench.statements import statement
from bench.system import BenchError, System
from polling.core.leaderboard import MAX_ENTRIES
from polling.store.queries import query
from tasks.ranking import Ranking

TIMES = 10
_ROUNDS = 7


def measure(*, polls: int) -> Part:
    """So many open, listed polls with four options each."""
    with System() as system:
        seeded = ledger.seed(system, polls)
        with system.connect() as connection:
            connection.execute(statement("give_votes"), {"first": seeded.first, "last": seeded.last})
            once = _refresh(connection)
            connection.execute(statement("multiply_votes"), {"times": TIMES})
            often = _refresh(connection)
            [(plan,)] = connection.execute(
                "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + query("leaderboard"), {"limit": MAX_ENTRIES, "floor": 1}
            ).fetchall()
    options = polls * len(OPTIONS)
    goal = Goal(value=100, most=True)
    figures = [
        Figure(f"{options:,} options in {polls:,} polls", statistics.median(once), "ms", goal=goal),
        Figure(
            f"with {TIMES} times the votes", statistics.median(often), "ms", statistics.median(once), "the same before",
            Goal(ratio=1.25, value=100, most=True),
        ),
    ]  # fmt: skip
    raw: dict[str, Any] = {"polls": polls, "milliseconds": once, "milliseconds_with_more": often, "plan": plan}
    return Part("leaderboard: one refresh", figures, raw)


def _refresh(connection: Connection) -> list[float]:
    """Milliseconds of each of some runs.

    Raises:
        BenchError: what it answers is not the top of all options.
    """
    connection.execute("VACUUM (ANALYZE) tallies")
    connection.execute("VACUUM (ANALYZE) polls")
    ranking, took = Ranking(), []
    for _ in range(_ROUNDS):
        begun = time.perf_counter()
        board = ranking.refresh(connection)
        took.append((time.perf_counter() - begun) * 1000)
    found = [(entry.poll_id, int(entry.option.id), entry.votes) for entry in board.entries]
    if found != connection.execute(statement("best_options"), {"limit": MAX_ENTRIES}).fetchall():
        raise BenchError(
            "the leaderboard is not the top of all options: does counting keep something that this does not?"
        )
    return took[1:]  # the first one knows no floor
