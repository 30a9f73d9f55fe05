"""Measuring: polls made by the thousand, ballots stored by the million, and whether the books are right at the end."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

import psycopg

from bench.http_accept import OPTIONS
from bench.statements import statement
from bench.system import BenchError, System

Connection = psycopg.Connection[tuple[object, ...]]

_RANDOM_FILL = 70
"""Per cent of a page that an index holds which grew at random places."""


@dataclasses.dataclass(frozen=True)
class Seeded:
    """Polls with numbers that follow each other, and one `key`. `changing`: one vote per voter, who may change it."""

    ids: Sequence[str]
    first: int
    changing: bool
    key: bytes

    @property
    def last(self) -> int:
        return self.first + len(self.ids) - 1


def seed(system: System, polls: int, changing: bool = False) -> Seeded:
    """Makes polls, behind the door's back."""
    key = os.urandom(32)
    parameters = {
        "prefix": os.urandom(6).hex(),
        "options": list(OPTIONS),
        "one_vote_per": "voter" if changing else None,
        "key": key,
        "polls": polls,
    }
    with system.connect() as connection:
        rows = sorted(
            (int(str(number)), str(id_)) for number, id_ in connection.execute(statement("seed_polls"), parameters)
        )
    numbers = [number for number, _ in rows]
    if numbers != list(range(numbers[0], numbers[0] + polls)):
        raise BenchError("somebody else makes polls meanwhile")
    return Seeded([id_ for _, id_ in rows], numbers[0], changing, key)


def store(system: System, poll: Seeded, votes: int) -> None:
    """Stores ballots of the first of these polls in one statement."""
    parameters = {"poll": poll.first, "votes": votes, "options": len(OPTIONS), "hmac": poll.changing}
    with system.connect() as connection:
        indexes = (
            [str(name) for (name,) in connection.execute(statement("indexes_of_ballots"))] if poll.changing else []
        )
        # They come in order, and the pages would be as full as they never are where ballots come at random.
        for name in indexes:
            connection.execute(f"ALTER INDEX {name} SET (fillfactor = {_RANDOM_FILL})")
        connection.execute(statement("store_ballots"), parameters)
        connection.execute(statement("add_to_tally"), parameters)
        for name in indexes:
            connection.execute(f"ALTER INDEX {name} RESET (fillfactor)")
        connection.execute("VACUUM (ANALYZE) ballots")
        connection.execute("CHECKPOINT")


def processed(connection: Connection) -> int:
    """Records of the vote log that PostgreSQL has counted or judged."""
    [(records,)] = connection.execute(statement("processed")).fetchall()
    return int(str(records))


def check(system: System, polls: Seeded, expected: Sequence[int]) -> None:
    """Holds the polls' tallies against their ballots, and both against what is expected, by option.

    Raises:
        BenchError: they differ.
    """
    with system.connect() as connection:
        rows = connection.execute(statement("ledger"), {"first": polls.first, "last": polls.last}).fetchall()
    tallied = [int(str(votes)) for _, votes, _ in rows]
    if any(differing for *_, differing in rows):
        raise BenchError(f"the tallies of polls {polls.first} to {polls.last} are not what their ballots say: {rows}")
    if tallied != list(expected):
        raise BenchError(f"the ballots of polls {polls.first} to {polls.last} should be {expected}, and are {tallied}")
