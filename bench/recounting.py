"""Measuring: `polling recount --from-log`, beside a bare consumer that only reads the same records; and from the rows.

Taken in turns, in one process, on one log that the system has counted before. Every recount must agree.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from confluent_kafka import Consumer, TopicPartition

from bench import ledger
from bench.producing import produce
from bench.report import Figure, Goal, Part
from bench.statements import statement
from bench.system import BenchError, System
from polling import log_recount
from polling.configured import spare_the_collector
from polling.store import log_snapshot
from polling.store.recounting import polls, recount
from polling.vote_log import VOTES_TOPIC, LogReader, Topics, reader_config

ROUNDS = 3
_LIMIT = 30.0


def measure(*, votes: int) -> Part:
    """`votes` in one poll, counted, and then counted again from the log and from the rows."""
    spare_the_collector()
    with System() as system:
        seeded = ledger.seed(system, 1)
        poll = seeded.ids[0]
        produce(system, seeded, votes)
        system.start("worker", "bridge")
        system.wait_until_counted()
        for name in ("bridge", "worker"):
            system.stop(name)
        runs: dict[str, Callable[[System, str], int]] = {
            "bare": _read_bare,
            "log": _from_log,
            "grouped": _group,
            "rows": _from_rows,
        }
        rates: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(ROUNDS):
            for name, run in runs.items():
                begun = time.monotonic()
                done = run(system, poll)
                rates[name].append(done / (time.monotonic() - begun))
                if done != votes:
                    raise BenchError(f"{votes} votes were counted, and {done} found again: {name}")
    middle = {name: statistics.median(found) for name, found in rates.items()}
    figures = [
        Figure("recount from the rows", middle["rows"], "votes/s", middle["grouped"],
               "SELECT count(*) … GROUP BY option", Goal(ratio=0.7)),
        Figure("recount from the log", middle["log"], "records/s", middle["bare"], "a consumer that only reads",
               Goal(ratio=0.5)),
    ]  # fmt: skip
    return Part(f"recount: {votes:,} votes, one process", figures, {"votes": votes, "rates": rates})


def _read_bare(system: System, _poll: str) -> int:
    """Reads all partitions of the log at once, and does nothing with the values."""
    ends = Topics(system.settings.kafka_broker).ends(VOTES_TOPIC, range(system.settings.votes_partitions))
    consumer = Consumer({**reader_config(system.settings.kafka_broker), "enable.partition.eof": False})
    try:
        consumer.assign([TopicPartition(VOTES_TOPIC, partition, 0) for partition in ends])
        read = 0
        while read < sum(ends.values()):
            first = consumer.poll(_LIMIT)
            if first is None:
                raise BenchError(f"the bare consumer read {read} of {sum(ends.values())} records, and no more come")
            read += sum(
                one.error() is None and one.value() is not None for one in (first, *consumer.consume(10_000, 0))
            )
    finally:
        consumer.close()
    return read


def _from_log(system: System, poll: str) -> int:
    with system.connect() as connection:
        snapshot = log_snapshot.take(connection)
    reader = LogReader(system.settings.kafka_broker)
    try:
        planned = log_recount.plan(snapshot, Topics(system.settings.kafka_broker), reader)
        found = log_recount.recount(snapshot, planned, reader, 0.0, lambda _offsets: None)
    finally:
        reader.close()
    [one] = found.recounts
    if not one.agrees or found.too_old:
        raise BenchError(f"the recount from the log is {one}, of {poll}")
    return one.total


def _group(system: System, poll: str) -> int:
    """What PostgreSQL alone takes to count the rows, in one query."""
    with system.connect() as connection:
        rows = connection.execute(statement("group_ballots"), {"poll": next(polls(connection, poll))[0]}).fetchall()
    return sum(int(str(votes)) for _, votes in rows)


def _from_rows(system: System, poll: str) -> int:
    with system.connect() as connection:
        one = recount(connection, next(polls(connection, poll))[0], poll)
    if not one.agrees:
        raise BenchError(f"the recount from the rows is {one}")
    return one.total
