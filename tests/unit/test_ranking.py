"""The unit tests: the leaderboard's shortcut: the same as without it, whatever happens to tallies and polls between."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from polling.core.leaderboard import Entry
from tasks.ranking import Ranking
from unit.counting_model import Connection

POLLS = 40
ENTRIES = 5


@pytest.fixture
def polls(connection: Connection) -> Iterator[list[int]]:
    """Empty polls that nobody else sees: the transaction they are made in never ends well."""
    with connection.transaction(force_rollback=True):
        connection.execute("DELETE FROM polls")
        rows = connection.execute(
            "WITH made AS (INSERT INTO polls (id, question, options, allow_change, listed, created_at, key,"
            " admin_token_hash) SELECT gen_random_uuid(), 'q', '{a,b,c}', true, true, now(), '', ''"
            " FROM generate_series(1, %s) RETURNING number)"
            " INSERT INTO tallies (poll, counts) SELECT number, '{0,0,0}' FROM made RETURNING poll",
            [POLLS],
        ).fetchall()
        yield sorted(number for (number,) in rows)


def _set(connection: Connection, poll: int, counts: list[int]) -> None:
    connection.execute("UPDATE tallies SET counts = %s, total = %s WHERE poll = %s", [counts, sum(counts), poll])


def _entries(ranking: Ranking, connection: Connection) -> tuple[Entry, ...]:
    return ranking.refresh(connection).entries


@pytest.mark.parametrize("seed", range(10))
def test_it_is_the_leaderboard_of_all_polls(connection: Connection, polls: list[int], seed: int) -> None:
    chance = random.Random(seed)
    ranking = Ranking(ENTRIES)
    for _ in range(60):
        poll = chance.choice(polls)
        if chance.random() < 0.1:
            connection.execute("UPDATE polls SET closed = NOT closed WHERE number = %s", [poll])
        else:
            _set(connection, poll, [chance.choice((0, 1, 5, chance.randrange(1000))) for _ in range(3)])
        assert _entries(ranking, connection) == _entries(Ranking(ENTRIES), connection)


def test_a_full_board_is_not_left_too_high(connection: Connection, polls: list[int]) -> None:
    """All that were on it lose their votes, and others that had few are the first now."""
    ranking = Ranking(ENTRIES)
    for poll in polls[:10]:
        _set(connection, poll, [100, 100, 100])
    for poll in polls[10:20]:
        _set(connection, poll, [1, 2, 3])
    assert {entry.votes for entry in _entries(ranking, connection)} == {100}
    for poll in polls[:10]:
        _set(connection, poll, [0, 0, 0])
    assert {entry.votes for entry in _entries(ranking, connection)} == {3}
    for poll in polls[10:]:
        _set(connection, poll, [0, 0, 0])
    assert _entries(ranking, connection) == ()
