"""Measuring: from the log to counted: votes produced beforehand, then bridge and worker let go.

Beside it the counting statement alone: as many bare connections as there are worker processes, with arrays that were
made ready before, half of the votes before the pipeline runs and half after it. To one hot poll, and to many polls; by
plain ballots, or by HMAC ones of voters of whom some change their minds. At the end every tally must equal its
ballots, and what was produced.
"""

from __future__ import annotations

import json
import time
from itertools import pairwise
from typing import Any, NamedTuple

from bench import ledger
from bench.children import helper
from bench.ledger import Seeded
from bench.producing import produce
from bench.report import Figure, Goal, Part, cpu_figures
from bench.system import WORKER_PROCESSES, BenchError, System, difference, wait_until

CONNECTIONS = WORKER_PROCESSES
MANY = 10_000
_LOOK = 0.02
_STALL = 60.0
"""Seconds without a single vote counted, after which it is not slow but broken."""

_BARE = f"the counting statement alone, {CONNECTIONS} connections"
_PLAIN = Goal(ratio=0.55, value=100_000)
_CHANGING = Goal(ratio=0.55)


class Run(NamedTuple):
    """What the pipeline did: `measured` votes a second, over what it took from the first that was seen counted."""

    rate: float
    measured: int
    cpu: dict[str, float]
    along_the_way: list[float]


def measure(*, votes: int, polls: tuple[int, ...] = (1, MANY), changing: bool = False) -> Part:
    """For each of these numbers of polls: `votes` through the pipeline, and as many again by the bare statement."""
    figures: list[Figure] = []
    raw: dict[str, Any] = {"votes": votes}
    for many in polls:
        run, bare = _beside(votes, many, changing)
        to = "one poll" if many == 1 else f"{many:,} polls"
        limit = sum(bare) / len(bare)
        figures.append(Figure(f"to {to}", run.rate, "votes/s", limit, _BARE, _CHANGING if changing else _PLAIN))
        cpu = cpu_figures(run.cpu, run.measured)
        figures += cpu if many == polls[0] else cpu[-1:]
        raw[f"{many} polls"] = {"bare": bare, **run._asdict()}
    kind = "HMAC ballots, one vote of five a change" if changing else "plain ballots"
    return Part(f"log to counted: {votes:,} votes, {kind}, {WORKER_PROCESSES} worker processes", figures, raw)


def let_go(system: System, votes: int, already: int = 0) -> Run:
    """Starts worker and bridge on a log of so many votes that are not counted, after `already` that are, and stops them
    when all are.

    Raises:
        BenchError: no more are counted, though not all are.
    """
    system.start("worker")
    with system.connect() as connection:
        connection.execute("CHECKPOINT")
        system.start("bridge")
        wait_until(lambda: ledger.processed(connection) > already, "the first vote is counted", pause=_LOOK / 4)
        before = system.cpu_seconds()
        samples = [(time.monotonic(), ledger.processed(connection))]
        while samples[-1][1] < already + votes:
            time.sleep(_LOOK)
            counted = ledger.processed(connection)
            if counted > samples[-1][1]:
                samples.append((time.monotonic(), counted))
            elif time.monotonic() - samples[-1][0] > _STALL:
                raise BenchError(f"{counted - already:,} of {votes:,} votes are counted, and no more come")
        cpu = difference(before, system.cpu_seconds())
    system.wait_until_counted()
    for name in ("bridge", "worker"):
        system.stop(name)
    if len(samples) < 2:
        raise BenchError("all was counted before it could be measured: take more --votes")
    (first, counted_first), (last, counted_last) = samples[0], samples[-1]
    measured = counted_last - counted_first
    rates = [(now[1] - then[1]) / (now[0] - then[0]) for then, now in pairwise(samples[:: max(1, len(samples) // 10)])]
    return Run(measured / (last - first), measured, cpu, rates)


def _beside(votes: int, many: int, changing: bool) -> tuple[Run, list[float]]:
    with System() as system:
        pipeline = ledger.seed(system, many, changing)
        before, after = (ledger.seed(system, many, changing) for _ in range(2))
        expected = produce(system, pipeline, votes)
        bare = [count_bare(system, before, votes // 2)]
        run = let_go(system, votes)
        bare.append(count_bare(system, after, votes // 2))
        ledger.check(system, pipeline, expected)
    return run, bare


def count_bare(system: System, polls: Seeded, votes: int) -> float:
    """Votes a second by the statement alone; arrays and connections are made ready before the clock starts.

    Raises:
        BenchError: it failed, or did not count what it should.
    """
    each = votes // CONNECTIONS
    shares = [each] * (CONNECTIONS - 1) + [votes - each * (CONNECTIONS - 1)]
    url, batch = system.settings.database_url, system.settings.bridge_batch
    with system.connect() as connection:
        connection.execute("CHECKPOINT")
        words = [polls.first, len(polls.ids), int(polls.changing), batch, *shares]
        with helper("bare_counting", words) as counting:
            assert counting.stdin is not None
            assert counting.stdout is not None
            counting.stdin.write(url + "\n")  # not on the command line: it holds a password
            counting.stdin.flush()
            answer = counting.stdout.readline()
        connection.execute("DELETE FROM covered WHERE generation = 127")
    if not answer:
        raise BenchError("the bare counting failed")
    result = json.loads(answer)
    ledger.check(system, polls, result["counts"])
    return votes / float(result["seconds"])
