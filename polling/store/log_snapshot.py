"""Step 5 of 7, store: what PostgreSQL says at one moment of all polls and of how far the log is counted.

A batch's ballots, its tallies and its range of the log are committed together. So the tallies of one snapshot are what
the records come to that the same snapshot calls counted, however much is being counted meanwhile.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import NamedTuple

import psycopg

from polling.core import positions
from polling.core.recounting import Place, PollRules
from polling.core.votes import Covered
from polling.store.queries import query
from polling.store.recounting import Connection
from polling.store.rows import Generation


class StoredPoll(NamedTuple):
    """A poll's rules, and its tally."""

    rules: PollRules
    created_at: datetime
    deleted: bool
    counts: list[int]
    total: int


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """`generations` are all there ever were, with the time at which they were retired, the oldest first; `counted` has
    each partition's ranges of offsets that are counted, in order and without overlap."""

    polls: dict[str, StoredPoll]
    generations: list[tuple[Generation, datetime | None]]
    counted: dict[Place, list[tuple[int, int]]]


def take(connection: Connection, poll_id: str | None = None) -> Snapshot:
    """Of every poll, or of the one named."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        rules = connection.execute(query("rules_for_recount"), {"id": poll_id}).fetchall()
        generations = connection.execute(query("every_generation")).fetchall()
        frontiers = connection.execute(query("every_frontier")).fetchall()
        covered = connection.execute(query("covered")).fetchall()
    return Snapshot(
        {
            name: StoredPoll(
                PollRules(options, last_wins, closes_at, _ends(ends), list(zip(closed, opened, strict=True))),
                created_at,
                deleted,
                list(counts),
                total,
            )
            for name, options, last_wins, closes_at, ends, created_at, deleted, counts, total, closed, opened in rules
        },
        [(Generation(*names), retired_at) for *names, retired_at in generations],
        _merge([Covered(generation, partition, 0, after) for generation, partition, after in frontiers], covered),
    )


def connect(database_url: str) -> Connection:
    """A connection for commands that look at everything: they may take their time."""
    return psycopg.connect(database_url, autocommit=True, connect_timeout=5, options="-c timezone=UTC")


def _ends(packed: list[int] | None) -> dict[Place, int] | None:
    if packed is None:
        return None
    ends: dict[Place, int] = {}
    for generation, partition, offset in map(positions.unpack, packed):
        place = (generation, partition)
        ends[place] = max(offset, ends.get(place, 0))
    return ends


def _merge(frontiers: list[Covered], covered: list[tuple[int, ...]]) -> dict[Place, list[tuple[int, int]]]:
    merged: dict[Place, list[tuple[int, int]]] = {}
    for one in sorted([*frontiers, *(Covered(*row) for row in covered)], key=lambda one: (one.first, one.next)):
        ranges = merged.setdefault((one.generation, one.partition), [])
        if ranges and one.first <= ranges[-1][1]:
            ranges[-1] = (ranges[-1][0], max(ranges[-1][1], one.next))
        elif one.first < one.next:
            ranges.append((one.first, one.next))
    return merged
