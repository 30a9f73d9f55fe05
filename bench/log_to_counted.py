"""Measuring: from the log to counted: votes produced beforehand to one hot poll, then bridge and worker let go.

Beside it the counting statement alone: two bare connections with arrays that were made ready before, half of the
votes before the pipeline runs and half after it. At the end every tally must equal its recount and what was produced.
"""

from __future__ import annotations

import time
from itertools import pairwise

from confluent_kafka import Producer

from bench.children import helper
from bench.report import Figure, Part, cpu_figures
from bench.system import WORKER_PROCESSES, BenchError, System, difference, wait_until
from polling.core import ballots
from polling.store.recounting import polls, recount
from polling.vote_log import VOTES_TOPIC, producer_config

OPTIONS = ("JavaScript", "Python", "Java", "Rust")
CONNECTIONS = WORKER_PROCESSES
_LOOK = 0.02
_STALL = 60.0
"""Seconds without a single vote counted, after which it is not slow but broken."""


def measure(*, votes: int) -> Part:
    """`votes` through the pipeline, and as many again by the bare statement."""
    with System() as system:
        system.start("api")
        pipeline = system.create_poll("Through log, bridge and worker?", OPTIONS)
        before, after = (system.create_poll(f"By the bare statement, {when}?", OPTIONS) for when in ("before", "after"))
        system.stop("api")
        produce(system, pipeline, votes)
        bare = [_count_bare(system, before, votes // 2)]
        samples, cpu = _let_go(system, pipeline, votes)
        system.wait_until_counted()
        for name in ("bridge", "worker"):
            system.stop(name)
        bare.append(_count_bare(system, after, votes // 2))
        _check(system, {pipeline: votes, before: votes // 2, after: votes // 2})
    (first, counted_first), (last, counted_last) = samples[0], samples[-1]
    measured = counted_last - counted_first
    bare_name = f"the counting statement alone, {CONNECTIONS} connections"
    figures = [
        Figure("log to counted", measured / (last - first), "votes/s", sum(bare) / len(bare), bare_name),
        *cpu_figures(cpu, measured),
    ]
    rates = [(now[1] - then[1]) / (now[0] - then[0]) for then, now in pairwise(samples[:: max(1, len(samples) // 10)])]
    raw = {"votes": votes, "bare": bare, "rates_along_the_way": rates, "cpu_seconds": cpu}
    return Part(f"log to counted: {votes:,} votes, {WORKER_PROCESSES} worker processes", figures, raw)


def produce(system: System, poll: str, votes: int) -> None:
    """Writes the votes as the door would."""
    failures: list[object] = []
    producer = Producer({**producer_config(system.settings.kafka_broker), "message.timeout.ms": 60_000})

    def delivered(error: object, _message: object) -> None:
        if error is not None:
            failures.append(error)

    for number in range(votes):
        ballot = ballots.fresh()
        value = b'{"poll":"%b","ballot":"%b","option":"%d","at":%d}' % (
            poll.encode(),
            ballot.hex().encode(),
            number % len(OPTIONS) + 1,
            time.time() * 1000,
        )
        while True:
            try:
                producer.produce(VOTES_TOPIC, value, ballot, on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.1)
        if number % 1000 == 0:
            producer.poll(0)
    if producer.flush(120) or failures:
        raise BenchError(f"the votes could not all be produced: {failures[:1]}")


def _let_go(system: System, poll: str, votes: int) -> tuple[list[tuple[float, int]], dict[str, float]]:
    """(seconds, votes counted by then) from the first that were seen to all, and the CPU used between."""
    system.start("worker")
    with system.connect() as connection:
        connection.execute("CHECKPOINT")
        number = _number_of(system, poll)

        def counted() -> int:
            [(total,)] = connection.execute("SELECT total FROM tallies WHERE poll = %s", [number]).fetchall()
            return int(str(total))

        system.start("bridge")
        wait_until(lambda: counted() > 0, "the first vote is counted", pause=_LOOK / 4)
        before = system.cpu_seconds()
        samples = [(time.monotonic(), counted())]
        while samples[-1][1] < votes:
            time.sleep(_LOOK)
            total = counted()
            if total > samples[-1][1]:
                samples.append((time.monotonic(), total))
            elif time.monotonic() - samples[-1][0] > _STALL:
                raise BenchError(f"{total} of {votes} votes are counted, and no more come")
        cpu = difference(before, system.cpu_seconds())
    if len(samples) < 2:
        raise BenchError("all was counted before it could be measured: take more --votes")
    return samples, cpu


def _count_bare(system: System, poll: str, votes: int) -> float:
    """Votes a second by the statement alone; arrays and connections are made ready before the clock starts."""
    number = _number_of(system, poll)
    each = votes // CONNECTIONS
    with system.connect() as connection:
        connection.execute("CHECKPOINT")
        shares = [each] * (CONNECTIONS - 1) + [votes - each * (CONNECTIONS - 1)]
        url, batch = system.settings.database_url, system.settings.bridge_batch
        with helper("bare_counting", [number, len(OPTIONS), batch, *shares]) as counting:
            assert counting.stdin is not None
            assert counting.stdout is not None
            counting.stdin.write(url + "\n")  # not on the command line: it holds a password
            counting.stdin.flush()
            seconds = float(counting.stdout.readline() or "nan")
        connection.execute("DELETE FROM covered WHERE generation = 127")
    if seconds != seconds:
        raise BenchError("the bare counting failed")
    return votes / seconds


def _number_of(system: System, poll: str) -> int:
    with system.connect() as connection:
        return next(polls(connection, poll))[0]


def _check(system: System, produced: dict[str, int]) -> None:
    with system.connect() as connection:
        for poll_id, votes in produced.items():
            result = recount(connection, next(polls(connection, poll_id))[0], poll_id)
            if not result.agrees or result.total != votes:
                raise BenchError(f"{votes} votes were produced, the tally says {result.counts}, the ballots {result}")
