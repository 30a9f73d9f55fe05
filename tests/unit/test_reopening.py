"""The unit tests: polls that close and are opened again between any two batches: nothing that was judged is undone.

What decides is the log's time of each record, whatever the order in which batches are counted and polls are closed: so
at the end, when all of the log is counted once more, everything is as the model has it for the gaps that are stored.
The log's clock is not PostgreSQL's: here it is up to some tenths of a second before or behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from support.waiting import until

from polling.core.changes import ChangePoll
from polling.core.errors import PollClosed, PollFinal
from polling.core.polls import Poll, Results
from polling.store.counting import CountingConnection
from polling.store.door import Store
from polling.store.queries import query
from unit.counting_model import BEGAN, OPTIONS, Connection, Place, Policy, Record, check, count, insert_polls

PLACES: list[Place] = [(1, 0), (1, 1)]
POLICIES = [Policy(), Policy("voter", allow_change=True), Policy("browser", allow_change=False)]
STEPS = 40
LIMIT = 2000
"""Turns at most until there is a gap to be checked. On a quick machine the first ones are over within the second by
which the log is ahead of the clock, and in that second closings and openings fall on its newest time."""


@pytest_asyncio.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    store = Store(database_url)
    await store.open()
    yield store
    await store.close()


@pytest.mark.parametrize("seed", range(12))
async def test_between_any_two_batches(seed: int, database_url: str, connection: Connection, store: Store) -> None:
    """Batches in any order, some twice; closings by hand and by time, changes of that time, and openings."""
    chance = random.Random(seed)
    numbers = insert_polls(connection, POLICIES)
    log = _log_about_now(chance, 300)
    batches = [log[start : start + 15] for start in range(0, len(log), 15)]
    chance.shuffle(batches)
    done: set[str] = set()
    with contextlib.closing(CountingConnection(database_url)) as counting:
        for step in range(LIMIT):
            if step >= STEPS and any(policy.gaps for policy in _all_stored(connection, numbers)):
                break
            for poll in await _polls(connection, store, numbers):
                done.add(await _do_something(chance, store, poll))
            await asyncio.sleep(chance.random() * 0.01)
            for batch in chance.choices(batches, k=2):
                count(counting, numbers, batch, [])
        _count_all_twice(connection, counting, numbers, log)
    assert done >= {"closed", "opened", "changed"}
    stored = _all_stored(connection, numbers)
    assert any(policy.gaps for policy in stored)
    check(connection, numbers, stored, log)


async def test_while_four_count(database_url: str, connection: Connection, store: Store) -> None:
    """The same with batches under way at every moment: they queue for the poll's lock, and are judged by what it says
    when they have it."""
    chance = random.Random(5)
    numbers = insert_polls(connection, POLICIES)
    log = _log_about_now(chance, 1200)
    ids = {poll.number: poll.id for poll in await _polls(connection, store, numbers)}
    ended = threading.Event()

    def work(seed: int) -> None:
        mine = random.Random(seed)
        with contextlib.closing(CountingConnection(database_url)) as counting:
            while not ended.is_set():
                closing = counting.state([], ids).closing
                count(counting, numbers, mine.sample(log, 60), [], closing=closing)

    with ThreadPoolExecutor(4) as pool:
        workers = [pool.submit(work, seed) for seed in range(4)]
        try:
            for turn in range(LIMIT):
                if turn >= 25 and all(policy.gaps for policy in _all_stored(connection, numbers)):
                    break
                for poll in await _polls(connection, store, numbers):
                    closed = await store.close_poll(poll)
                    assert closed.closed
                    assert not (await store.reopen_poll(closed, None)).closed
        finally:
            ended.set()
        for worker in workers:
            worker.result(timeout=60)
    with contextlib.closing(CountingConnection(database_url)) as counting:
        _count_all_twice(connection, counting, numbers, log)
    stored = _all_stored(connection, numbers)
    assert all(policy.gaps for policy in stored)
    check(connection, numbers, stored, log)


async def test_what_was_late_stays_so(database_url: str, connection: Connection, store: Store) -> None:
    """Also where the log's clock is so far ahead that the opening would lie before it."""
    [number] = insert_polls(connection, [Policy()])
    [poll] = await _polls(connection, store, [number])
    now = (datetime.now(UTC) - BEGAN).total_seconds()
    log = [Record(0, ballot, 1, (1, 0), ballot, round(now + after, 3)) for ballot, after in enumerate((-1, 60))]
    with contextlib.closing(CountingConnection(database_url)) as counting:
        count(counting, [number], log[:1], [])
        await store.close_poll(poll)
        count(counting, [number], log[1:], [])
        opened = await store.reopen_poll(poll, None)
        assert (opened.reopened, opened.closes_at, opened.closed) == (1, None, False)
        count(counting, [number], log, [])
    check(connection, [number], [_stored(connection, number, Policy())], log)
    assert connection.execute("SELECT counts FROM tallies WHERE poll = %s", [number]).fetchone() == ([1, 0, 0, 0],)


async def test_a_time_that_the_log_has_passed_is_not_moved(
    database_url: str, connection: Connection, store: Store
) -> None:
    """A cast was too late by the log's clock while it was not by PostgreSQL's: had the poll longer now, it would count
    when it is counted again."""
    now = (datetime.now(UTC) - BEGAN).total_seconds()
    policy = Policy(closes_after=round(now + 600, 3))
    [number] = insert_polls(connection, [policy])
    [poll] = await _polls(connection, store, [number])
    late = [Record(0, 1, 1, (1, 0), 0, round(now + 601, 3))]
    with contextlib.closing(CountingConnection(database_url)) as counting:
        count(counting, [number], late, [])
        with pytest.raises(PollClosed):
            await store.change_poll(poll, ChangePoll(closes_at=None))
        closed = await store.close_poll(poll)
        assert closed.closes_at == policy.closes_at, "closed by hand, it still is too late"
        count(counting, [number], late, [])
    check(connection, [number], [_stored(connection, number, policy)], late)


async def test_a_shorter_time_leaves_what_counted(database_url: str, connection: Connection, store: Store) -> None:
    [number] = insert_polls(connection, [Policy()])
    [poll] = await _polls(connection, store, [number])
    now = (datetime.now(UTC) - BEGAN).total_seconds()
    log = [Record(0, 1, 1, (1, 0), 0, round(now + 600, 3))]
    with contextlib.closing(CountingConnection(database_url)) as counting:
        count(counting, [number], log, [])
        changed = await store.change_poll(poll, ChangePoll(closes_at=datetime.now(UTC) + timedelta(seconds=60)))
        assert changed.closes_at == log[0].time
        count(counting, [number], log, [])
    check(connection, [number], [_stored(connection, number, Policy())], log)


async def test_ends_belong_to_the_last_closing(connection: Connection, store: Store) -> None:
    """Those of a closing that was taken back meanwhile, or came before another one, are not stored."""
    [number] = insert_polls(connection, [Policy()])
    [poll] = await _polls(connection, store, [number])
    first = (await store.close_poll(poll)).closes_at
    await store.reopen_poll(poll, None)
    assert _seal(connection, number, first) is None
    second = (await store.close_poll(poll)).closes_at
    assert _seal(connection, number, first) is None
    assert _seal(connection, number, second) == [90 << 56 | 5]
    assert (await store.reopen_poll(poll, None)).reopened == 2
    assert connection.execute("SELECT ends, announced FROM polls WHERE number = %s", [number]).fetchone() == (
        None,
        False,
    )


@pytest.mark.parametrize("who", ["counting", "announcing", "sealing", "finalising"])
async def test_whoever_waits_for_the_lock_sees_the_opening(
    database_url: str, connection: Connection, store: Store, who: str
) -> None:
    """What began while the poll was closed, and gets its row once it is open, goes by how it is then: also a batch
    whose snapshot is from before. A cast that came between is too late to it as it was to all before."""
    now = (datetime.now(UTC) - BEGAN).total_seconds()
    policy = Policy(closes_after=round(now - 600, 3), ends={(91, 0): 0} if who == "finalising" else None)
    [number] = insert_polls(connection, [policy])
    [poll] = await _polls(connection, store, [number])
    between = [Record(0, 1, 1, (1, 0), 0, round(now - 300, 3))]

    def wait() -> None:
        if who == "counting":
            with contextlib.closing(CountingConnection(database_url)) as counting:
                count(counting, [number], between, [])
            return
        with psycopg.connect(database_url, autocommit=True) as mine:
            if who == "announcing":
                mine.execute(query("announce_closed"), {"numbers": [number]})
            elif who == "finalising":
                mine.execute(query("finalise"), {"limit": 500})
            else:
                with mine.transaction():
                    mine.execute(query("lock_poll"), {"number": number})
                    _seal(mine, number, policy.closes_at)

    with ThreadPoolExecutor(1) as pool:
        with psycopg.connect(database_url) as opener:
            opener.execute(query("lock_poll"), {"number": number})
            waiting = pool.submit(wait)
            until(lambda: _somebody_waits(connection), "the other one waits for the lock")
            opener.execute(query("reopen_poll"), {"number": number, "closes_at": None})
        waiting.result(timeout=60)
    row = connection.execute("SELECT announced, ends, final FROM polls WHERE number = %s", [number]).fetchone()
    assert row == (False, None, False)
    [results] = await store.results([poll])
    assert (results.status, results.revision, results.total) == ("open", 1, 0)
    if who == "counting":
        check(connection, [number], [_stored(connection, number, Policy())], between)


def _somebody_waits(connection: Connection) -> bool:
    asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return connection.execute(asked).fetchone() != (0,)


async def test_a_final_poll_stays_closed(connection: Connection, store: Store) -> None:
    [number] = insert_polls(connection, [Policy()])
    [poll] = await _polls(connection, store, [number])
    closed = await store.close_poll(poll)
    connection.execute("UPDATE polls SET final = true WHERE number = %s", [number])
    before = await store.results([poll])
    with pytest.raises(PollFinal):
        await store.reopen_poll(poll, None)
    assert (await store.poll(poll.id), await store.results([poll])) == (closed, before)


async def test_an_open_poll_stays_as_it_is(connection: Connection, store: Store) -> None:
    [number] = insert_polls(connection, [Policy()])
    [poll] = await _polls(connection, store, [number])
    assert await store.reopen_poll(poll, datetime.now(UTC) + timedelta(hours=1)) == poll
    [results] = await store.results([poll])
    assert results == Results(poll.id, 0, (0,) * OPTIONS, "open", False)
    row = connection.execute("SELECT closing, gaps FROM polls WHERE number = %s", [number]).fetchone()
    assert row == (False, None)


async def test_each_of_these_raises_the_revision(connection: Connection, store: Store) -> None:
    [number] = insert_polls(connection, [Policy()])
    [poll] = await _polls(connection, store, [number])
    changes: list[Any] = [
        lambda: store.change_poll(poll, ChangePoll(question="another")),
        lambda: store.change_poll(poll, ChangePoll(options=list("wxyz"), results_visible="after_vote")),
        lambda: store.close_poll(poll),
        lambda: store.reopen_poll(poll, datetime.now(UTC) + timedelta(hours=1)),
    ]
    for revision, change in enumerate(changes, 1):
        changed = await change()
        assert (await store.results([poll]))[0].revision == revision
        await store.change_poll(poll, ChangePoll(question=changed.question, options=list(changed.options)))
        assert (await store.results([poll]))[0].revision == revision, "what is as it was is no change"


def _log_about_now(chance: random.Random, size: int) -> list[Record]:
    """Casts of some ballots in all polls, at times from a little before now to some tenths of a second after it."""
    now = (datetime.now(UTC) - BEGAN).total_seconds()
    return [
        Record(
            poll=chance.randrange(len(POLICIES)),
            ballot=chance.randrange(size // 8),
            option=chance.randint(1, OPTIONS),
            place=PLACES[offset % 2],
            offset=offset,
            seconds=round(now - 0.2 + chance.random() * 1.2, 3),
        )
        for offset in range(size)
    ]


async def _polls(connection: Connection, store: Store, numbers: Sequence[int]) -> list[Poll]:
    rows = connection.execute("SELECT id FROM polls WHERE number = ANY(%s) ORDER BY number", [list(numbers)]).fetchall()
    found = [await store.poll(poll_id) for (poll_id,) in rows]
    return [poll for poll in found if poll is not None]


async def _do_something(chance: random.Random, store: Store, poll: Poll) -> str:
    """One of what may be done to a poll; answers what was."""
    soon = datetime.now(UTC) + timedelta(milliseconds=chance.randrange(1, 30))
    soon = soon.replace(microsecond=soon.microsecond // 1000 * 1000)
    match chance.randrange(4):
        case 0:
            await store.close_poll(poll)
            return "closed"
        case 1:
            await store.reopen_poll(poll, chance.choice([None, soon]))
            return "opened"
        case 2:
            try:
                await store.change_poll(poll, ChangePoll(closes_at=chance.choice([None, soon])))
            except PollClosed:
                return "refused"
            return "changed"
    return "left"


def _count_all_twice(
    connection: Connection, counting: CountingConnection, numbers: list[int], log: list[Record]
) -> None:
    """What was not counted yet comes late; and what was comes again, which changes nothing."""
    count(counting, numbers, log, [])
    before = _everything(connection, numbers)
    assert count(counting, numbers, log, []).results == []
    assert _everything(connection, numbers) == before


def _everything(connection: Connection, numbers: list[int]) -> list[Any]:
    return [
        connection.execute(
            "SELECT poll, counts, revision FROM tallies WHERE poll = ANY(%s) ORDER BY 1", [numbers]
        ).fetchall(),
        connection.execute(
            "SELECT poll, ballot, option, rank FROM ballots WHERE poll = ANY(%s) ORDER BY 1, 2", [numbers]
        ).fetchall(),
    ]


def _all_stored(connection: Connection, numbers: list[int]) -> list[Policy]:
    return [_stored(connection, number, policy) for number, policy in zip(numbers, POLICIES, strict=True)]


def _stored(connection: Connection, number: int, policy: Policy) -> Policy:
    """The policy with the times that are stored."""
    row = connection.execute("SELECT closes_at, gaps FROM polls WHERE number = %s", [number]).fetchone()
    assert row is not None
    closes_at, gaps = row

    def seconds(time: datetime) -> float:
        return (time - BEGAN).total_seconds()

    return policy._replace(
        closes_after=None if closes_at is None else seconds(closes_at),
        gaps=tuple((seconds(gap.lower), seconds(gap.upper)) for gap in gaps or ()),
    )


def _seal(connection: Connection, number: int, closes_at: datetime | None) -> list[int] | None:
    """What the periodic task does with the ends of a log of one partition; answers what is stored then."""
    parameters = {"generations": [90], "partitions": [0], "nexts": [5], "number": number, "closes_at": closes_at}
    connection.execute(query("seal_poll"), parameters)
    row = connection.execute("SELECT ends FROM polls WHERE number = %s", [number]).fetchone()
    assert row is not None
    ends: list[int] | None = row[0]
    return ends
