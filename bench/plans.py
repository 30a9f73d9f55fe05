"""Scaling on paper: what many votes and many sockets need, and what is full first, from what one of each costs.

Costs are measured (`bench.costs`); what is computed of them, by division or by simulation, and what is assumed, the
tables say, which `bench.scaling` makes. A plan gives each stage so many servers that they serve for 60 % of their
time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from bench.costs import Costs
from bench.simulation import BATCH, SLOWEST_PACE, Machines, Outcome, Pipeline

USED = 0.6
RATES = (10_000, 100_000, 1_000_000)
SOCKETS = (10_000, 100_000, 1_000_000, 10_000_000)
MANY = 10_000
SERVER = 16
"""Processors of a server that is a broker's or PostgreSQL's own. Assumed."""

STARTED = Machines(1, 1, 2, {"kafka": SERVER, "postgres": SERVER})
"""As Compose starts it, Kafka and PostgreSQL on servers of their own."""

MEMORY = 64e9
"""Bytes of memory that PostgreSQL has for an index. Assumed."""

FRAME = 300
"""Bytes of a results frame of four options, with the heads of its packet. Assumed."""

FRAMES_A_SECOND = 10
SOCKETS_A_PROCESS = 20_000
GATEWAY = 65_000
NETWORK = 10e9
"""Bits a second of a server's network. Assumed."""


class Rows(NamedTuple):
    """Milliseconds for which a full batch holds the rows that count, and those of its commit."""

    held: float
    commit: float


def rows(costs: Costs, polls: int) -> Rows:
    """For one poll or for many."""
    to = "one poll" if polls == 1 else f"{MANY:,} polls"
    return Rows(
        costs.figure("hot-row", f"to {to}: rows are held"), costs.figure("hot-row", f"to {to}: of that the commit")
    )


def vote(costs: Costs, rate: float, polls: int) -> dict[str, float]:
    """Microseconds of a vote by process. Behind the log those of full batches, where there are votes enough to fill
    them, and else those that were measured at some 19,000 votes a second."""
    if rate * SLOWEST_PACE < BATCH and polls == 1:
        return costs.cpu["http"]
    counting = costs.cpu["log" if polls == 1 else f"log, {MANY:,} polls"]
    return {**costs.cpu["http"], **{role: counting[role] for role in ("bridge", "worker", "postgres")}}


class Capacity(NamedTuple):
    """Votes a second that one server of each stage carries, all of its time."""

    api: float
    kafka: float
    bridge: float
    worker: float
    postgres: float
    rows: float


def capacity(costs: Costs, rate: float, polls: int) -> Capacity:
    """Of an API process, a processor of Kafka, a bridge, a worker process, a processor of PostgreSQL, a database's
    rows. A worker process waits while PostgreSQL counts for it."""
    cpu, row = vote(costs, rate, polls), rows(costs, polls)
    batch = min(BATCH, max(1.0, rate * SLOWEST_PACE))
    commit = row.commit * 1000 / batch
    return Capacity(
        1e6 / cpu["api"],
        1e6 / cpu["kafka"],
        1e6 / cpu["bridge"],
        1e6 / (cpu["worker"] + cpu["postgres"] + commit),
        1e6 / cpu["postgres"],
        1e6 / ((row.held - row.commit) * 1000 / BATCH + commit),
    )


def ways(costs: Costs) -> dict[str, float]:
    """Votes a second that an API process carries where they do not come by HTTP one by one."""
    return {
        "votes in batches": costs.figure("batch", "for a CPU second of the process"),
        "votes by socket": 1e6 / costs.cpu["sockets"]["api"],
    }


def plan(costs: Costs, rate: float, polls: int) -> Machines:
    """So many of each that none serves for more than 60 % of its time. One poll's row cannot be divided."""
    one = capacity(costs, rate, polls)
    api, kafka, bridges, workers, postgres, databases = (math.ceil(rate / each / USED) for each in one)
    databases = 1 if polls == 1 else databases
    cores = {"api": api, "kafka": kafka, "bridge": bridges, "worker": workers, "postgres": postgres}
    return Machines(api, bridges, workers, cores, databases)


def simulate(costs: Costs, rate: float, polls: int, machines: Machines | None = None, seconds: float = 2) -> Outcome:
    """Lets so many votes a second walk through these machines, or through the plan for them."""
    machines = machines or plan(costs, rate, polls)
    return Pipeline(machines, vote(costs, rate, polls), *rows(costs, polls)).run(seconds, rate=rate)


def fullest(outcome: Outcome) -> str:
    """The stage that is taken for the greatest part of its time: the first to be full where more votes come. Who waits
    for a stage that is full is taken as well: then it is the last of them."""
    most = max(stage.used for stage in outcome.stages.values())
    return [name for name, stage in outcome.stages.items() if stage.used > most - 0.01][-1]


def first_full(costs: Costs, machines: Machines, polls: int) -> tuple[int, float]:
    """Which of the stages of `Capacity`, by its place there, is full first on these machines, and at how many votes a
    second."""
    one = capacity(costs, RATES[-1], polls)
    few, cores = (machines.api, machines.cores["kafka"], machines.bridges), machines.cores["postgres"]
    servers = (*few, machines.workers, cores, machines.rows)
    full = [many * each for many, each in zip(servers, one, strict=True)]
    return full.index(min(full)), min(full)


class Check(NamedTuple):
    """What the simulation says of the machine on which the costs were measured, and what was measured there."""

    what: str
    predicted: float
    measured: float
    unit: str


def checks(costs: Costs) -> list[Check]:
    """Both, for each rate and delay that the benchmark measures with all parts on the same two processors."""
    processors = costs.runs[-1]["processors"]
    shared = dict.fromkeys(("api", "kafka", "bridge", "worker", "postgres", "client"), processors)
    machines = Machines(1, 1, 2, shared, 1, processors)

    def run(cpu: Mapping[str, float], polls: int = 1, **load: int) -> Outcome:
        nothing = {"api": 0.0, "client": 0.0}
        return Pipeline(machines, {**nothing, **cpu}, *rows(costs, polls)).run(3, **load)

    busy = next(name for name in costs.figures["latency"] if name.endswith("counted, p50") and "500/s" not in name)
    at = int(busy.partition("/s")[0].removeprefix("at ").replace(",", ""))
    delayed = run(costs.cpu["http"], rate=at)
    found = [
        ("accepted over HTTP, 64 connections", run(costs.cpu["http"], users=64).rate, "http", "accepted"),
        (
            "accepted over 100 sockets, 1,000 under way",
            run(costs.cpu["sockets"], users=1000).rate,
            "sockets",
            "accepted",
        ),
        ("log to counted, one poll", run(costs.cpu["log"], logged=2_000_000).rate, "log", "to one poll"),
        (
            f"log to counted, {MANY:,} polls",
            run(costs.cpu[f"log, {MANY:,} polls"], MANY, logged=2_000_000).rate,
            "log",
            f"to {MANY:,} polls",
        ),
    ]
    rates = [Check(what, rate, costs.figure(part, name), "votes/s") for what, rate, part, name in found]
    delays = [
        Check(
            f"accepted to counted at {at:,}/s, {share}",
            value,
            costs.figure("latency", f"at {at:,}/s: accepted to counted, {share}"),
            "ms",
        )
        for share, value in (("p50", delayed.p50), ("p99", delayed.p99))
    ]
    return rates + delays
