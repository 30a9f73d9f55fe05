"""Measuring: bytes that a counted vote takes in Kafka, and in PostgreSQL's table and indexes, beside its record's own.

Kafka's are those of its segments, compressed as they came from a producer that is busy; a quiet one sends smaller
batches, which compress less.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench import ledger
from bench.log_to_counted import let_go
from bench.producing import produce
from bench.report import Figure, Part
from bench.statements import statement
from bench.system import BenchError, System
from polling.vote_log import VOTES_TOPIC

_OWN = "the record's own bytes, key and value"
_KINDS = {False: "plain", True: "HMAC"}


def measure(*, votes: int) -> Part:
    """`votes` of each kind, in a fresh system each."""
    figures: list[Figure] = []
    raw: dict[str, Any] = {"votes": votes}
    for changing, kind in _KINDS.items():
        found = _weigh(votes, changing)
        raw[kind] = found
        own = found["record"]
        figures += [
            Figure(f"in Kafka, {kind}", found["kafka"], "bytes/vote", own, _OWN),
            Figure(f"in PostgreSQL's table, {kind}", found["table"], "bytes/ballot", own, _OWN),
            Figure(f"in PostgreSQL's indexes, {kind}", found["indexes"], "bytes/ballot", own, _OWN),
        ]
    return Part(f"bytes stored: {votes:,} votes to one poll", figures, raw)


def _weigh(votes: int, changing: bool) -> dict[str, float]:
    with System() as system:
        polls = ledger.seed(system, 1, changing)
        produce(system, polls, votes)
        let_go(system, votes)
        with system.connect() as connection:
            connection.execute("VACUUM ballots")
            [(rows, table, indexes)] = connection.execute(statement("sizes_of_ballots")).fetchall()
        kafka = system.servers.kafka
        if kafka is None or not rows:
            raise BenchError("nothing was stored")
        log = sum(path.stat().st_size for path in Path(kafka.data).glob(f"logs/{VOTES_TOPIC}-*/*.log"))
        ballots = int(str(rows))
        value = b'{"poll":"%b","ballot":"%b","option":"1","at":1700000000000}' % (polls.ids[0].encode(), b"0" * 32)
    return {
        "record": len(value) + 16,
        "kafka": log / votes,
        "table": int(str(table)) / ballots,
        "indexes": int(str(indexes)) / ballots,
        "ballots": ballots,
    }
