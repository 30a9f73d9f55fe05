"""The unit tests: how polls stand is kept over time where it changed, and thinned as it ages."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import psycopg

from polling.core.series import TIERS
from tasks import series
from unit.counting_model import Connection, Policy, insert_polls


def kept(connection: Connection, number: int) -> list[list[int]]:
    rows = connection.execute("SELECT counts FROM series WHERE poll = %s ORDER BY at", [number]).fetchall()
    return [counts for (counts,) in rows]


def move(connection: Connection, number: int, *counts: int) -> None:
    connection.execute(
        "UPDATE tallies SET counts = %s, total = %s, revision = revision + 1 WHERE poll = %s",
        [list(counts), sum(counts), number],
    )


def test_only_what_changed_gets_a_point(connection: Connection) -> None:
    first, second = insert_polls(connection, [Policy(), Policy()])
    series.note(connection)
    assert kept(connection, first) == [], "no vote, no point"
    move(connection, first, 1, 0, 0, 0)
    assert series.note(connection) == 1
    move(connection, second, 0, 2, 0, 0)
    move(connection, first, 1, 1, 0, 0)
    move(connection, first, 1, 2, 0, 0)
    assert series.note(connection) == 2
    assert series.note(connection) == 0
    assert kept(connection, first) == [[1, 0, 0, 0], [1, 2, 0, 0]]
    assert kept(connection, second) == [[0, 2, 0, 0]]


def test_several_at_once_do_no_harm(database_url: str, connection: Connection) -> None:
    """Beside counting that moves the tallies in another order: nobody waits for ever, and the last state is kept."""
    numbers = insert_polls(connection, [Policy()] * 30)
    ended = threading.Event()

    def keep() -> None:
        with psycopg.connect(database_url, autocommit=True) as mine:
            while not ended.is_set():
                series.note(mine)

    with ThreadPoolExecutor(3) as pool:
        keepers = [pool.submit(keep) for _ in range(3)]
        try:
            for votes in range(1, 30):
                for number in reversed(numbers):
                    move(connection, number, votes, 0, 0, 0)
        finally:
            ended.set()
        for keeper in keepers:
            keeper.result(timeout=60)
    series.note(connection)
    for number in numbers:
        found = kept(connection, number)
        assert found[-1] == [29, 0, 0, 0]
        assert found == sorted(found)


def test_it_thins_as_it_ages(connection: Connection) -> None:
    """Of each tier's steps the last point stays, younger ones stay all; and what stayed stays."""
    [number] = insert_polls(connection, [Policy()])
    for tier in TIERS:
        connection.execute(
            "INSERT INTO series (poll, at, counts) SELECT %s, at, ARRAY[1] FROM generate_series("
            " clock_timestamp() - %s * interval '1 second', clock_timestamp() - %s * interval '1 second',"
            " %s * interval '1 second') AS at",
            [number, tier.after + 3 * tier.step + 60, tier.after + 60, tier.step / 4],
        )
    connection.execute(
        "INSERT INTO series (poll, at, counts) SELECT %s, clock_timestamp() - at * interval '5 seconds', ARRAY[1]"
        " FROM generate_series(1, 100) AS at",
        [number],
    )
    series.thin(connection)
    now = datetime.now(UTC)
    rows = connection.execute("SELECT at FROM series WHERE poll = %s ORDER BY at", [number]).fetchall()
    times = [at for (at,) in rows]
    assert sum(time > now - timedelta(minutes=30) for time in times) == 100
    for tier in TIERS:
        old = [
            time.timestamp() // tier.step
            for time in times
            if timedelta(seconds=tier.after) < now - time < timedelta(seconds=tier.after + 4 * tier.step)
        ]
        assert 3 <= len(old) <= 5
        assert len(set(old)) == len(old)
    before = len(times)
    series.thin(connection)
    assert len(kept(connection, number)) == before


def test_a_deleted_poll_keeps_none(connection: Connection) -> None:
    [number] = insert_polls(connection, [Policy()])
    move(connection, number, 1, 0, 0, 0)
    series.note(connection)
    assert kept(connection, number)
    connection.execute("UPDATE polls SET deleted_at = clock_timestamp() WHERE number = %s", [number])
    series.thin(connection)
    move(connection, number, 2, 0, 0, 0)
    series.note(connection)
    assert kept(connection, number) == []
