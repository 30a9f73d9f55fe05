"""The unit tests: the counting statement on a real PostgreSQL against the model: whatever the order of batches."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polling.core.votes import Covered
from polling.store.counting import CountingConnection
from unit.counting_model import (
    OPTIONS,
    Connection,
    Place,
    Policy,
    Record,
    check,
    count,
    expected,
    insert_polls,
    random_log,
)

SIZES: dict[Place, int] = {(1, 0): 900, (1, 1): 700, (2, 0): 800}
SECONDS = 1000
ENDS: dict[Place, int] = {(1, 0): 450, (2, 0): 10_000}
"""Partition 1 of generation 1 is not named, and so counts as ended at 0."""

POLICIES = [
    Policy(),
    Policy("voter", allow_change=True),
    Policy("browser", allow_change=False),
    Policy(closes_after=500),
    Policy("voter", allow_change=True, closes_after=500),
    Policy("voter", allow_change=False, closes_after=300),
    Policy(closes_after=700, ends=ENDS),
    Policy("browser", allow_change=True, closes_after=700, ends=ENDS),
    Policy("voter", deleted=True),
    Policy(gaps=((300, 500),)),
    Policy("voter", allow_change=True, closes_after=800, gaps=((100, 250), (400, 450))),
    Policy("browser", allow_change=False, closes_after=700, ends=ENDS, gaps=((0, 400),)),
]

Job = tuple[list[Record], list[Covered]]


@pytest.mark.parametrize("seed", range(5))
def test_every_order_of_batches_comes_to_the_same(seed: int, database_url: str, connection: Connection) -> None:
    """Each batch twice, others that overlap them, in any order, by four connections at once."""
    chance = random.Random(seed)
    log = random_log(chance, len(POLICIES), 60, SIZES, SECONDS)
    numbers = insert_polls(connection, POLICIES)
    jobs = _jobs(chance, log)

    def work(mine: list[Job]) -> None:
        with closing(CountingConnection(database_url)) as counting:
            for batch, ranges in mine:
                count(counting, numbers, batch, ranges)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work, jobs[number::4]) for number in range(4)]:
            done.result(timeout=90)

    check(connection, numbers, POLICIES, log)
    with closing(CountingConnection(database_url)) as counting:
        everything = [Covered(*place, 0, size) for place, size in SIZES.items()]
        for _, ranges in jobs:
            assert counting.state(ranges, {}).covered, ranges
        before = _tallies(connection, numbers)
        assert count(counting, numbers, log, everything).results == []
        assert _tallies(connection, numbers) == before, "counting all of it again changes nothing"


def _jobs(chance: random.Random, log: list[Record]) -> list[Job]:
    jobs: list[Job] = []
    for place, size in SIZES.items():
        records = [record for record in log if record.place == place]
        cuts = sorted({0, size, *chance.sample(range(1, size), 12)})
        ranges = list(pairwise(cuts)) * 2
        ranges += [(start, start + 60) for start in chance.sample(range(size - 60), 3)]
        jobs += [(records[first:after], [Covered(*place, first, after)]) for first, after in ranges]
    chance.shuffle(jobs)
    # Some batches carry ranges of several partitions, as the bridge's do; of each partition one.
    joined: list[Job] = []
    while jobs:
        records, ranges_of = jobs.pop()
        if joined and chance.random() < 0.4 and not _places(joined[-1]) & _places((records, ranges_of)):
            joined[-1] = (joined[-1][0] + records, joined[-1][1] + ranges_of)
        else:
            joined.append((records, ranges_of))
    return joined


def _places(job: Job) -> set[Place]:
    return {(covered.generation, covered.partition) for covered in job[1]}


def _tallies(connection: Connection, numbers: list[int]) -> list[tuple[object, ...]]:
    return connection.execute(
        "SELECT poll, counts, total, revision FROM tallies WHERE poll = ANY(%s) ORDER BY poll", [numbers]
    ).fetchall()


policies = st.builds(
    Policy,
    one_vote_per=st.sampled_from([None, "browser", "voter"]),
    allow_change=st.booleans(),
    closes_after=st.none() | st.integers(0, 10),
    ends=st.none() | st.dictionaries(st.tuples(st.just(1), st.integers(0, 1)), st.integers(0, 12)),
    deleted=st.just(False),
    gaps=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)).map(lambda gap: (gap[0], sum(gap))), max_size=2).map(
        tuple
    ),
)


@st.composite
def small_logs(draw: st.DrawFn) -> list[Record]:
    """At most a dozen casts of two ballots in two partitions: small enough to be read where a case fails."""
    casts = draw(
        st.lists(
            st.tuples(st.integers(0, 1), st.integers(1, OPTIONS), st.integers(0, 1), st.integers(0, 12)), max_size=12
        )
    )
    return [
        Record(0, ballot, option, (1, partition), offset, seconds)
        for offset, (ballot, option, partition, seconds) in enumerate(casts)
    ]


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(policy=policies, log=small_logs(), data=st.data())
def test_the_order_of_tasks_is_of_no_matter(
    database_url: str,
    connection: Connection,
    counting: CountingConnection,
    policy: Policy,
    log: list[Record],
    data: st.DataObject,
) -> None:
    """Any cut into batches, any order of them, any of them again."""
    [number] = insert_polls(connection, [policy])
    size = data.draw(st.integers(1, 5), label="batch size")
    batches = [log[start : start + size] for start in range(0, len(log), size)]
    order = data.draw(st.permutations(batches + batches[:2]), label="order")
    for batch in order:
        count(counting, [number], batch, [])
    check(connection, [number], [policy], log)


@pytest.fixture(scope="module")
def counting(database_url: str) -> Iterator[CountingConnection]:
    with closing(CountingConnection(database_url)) as counting:
        yield counting


def test_a_batch_says_what_it_changed(connection: Connection, counting: CountingConnection) -> None:
    """The snapshot that goes to the sockets: the poll's counts at its new revision; nothing where nothing moved."""
    [number] = insert_polls(connection, [Policy()])
    batch = [Record(0, ballot, 1 + ballot % 2, (1, 0), ballot, 0) for ballot in range(5)]
    changed = count(counting, [number], batch, [])
    assert changed.results == [(number, 1, (3, 2, 0, 0), True)]
    assert (changed.ballots, changed.rejected) == (5, 0)
    again = count(counting, [number], batch, [])
    assert (again.results, again.ballots, again.rejected) == ([], 0, 0)
    other = count(counting, [number], [Record(0, 0, 2, (1, 0), 9, 0)], [])
    assert (other.results, other.ballots, other.rejected) == ([], 0, 1)


def test_a_moved_vote_moves_both_options(connection: Connection, counting: CountingConnection) -> None:
    [number] = insert_polls(connection, [Policy("voter")])
    count(counting, [number], [Record(0, 7, 1, (1, 0), 0, 0)], [])
    moved = count(counting, [number], [Record(0, 7, 3, (1, 0), 1, 0)], [])
    assert moved.results == [(number, 2, (0, 0, 1, 0), True)]
    assert moved.ballots == 0


def test_the_same_option_again_moves_the_rank_alone(connection: Connection, counting: CountingConnection) -> None:
    """So that a cast between the two, counted late, does not win."""
    [number] = insert_polls(connection, [Policy("voter")])
    log = [Record(0, 7, option, (1, 0), offset, 0) for offset, option in enumerate((1, 2, 1))]
    assert count(counting, [number], [log[0]], []).results
    assert count(counting, [number], [log[2]], []).results == []
    assert count(counting, [number], [log[1]], []).results == []
    check(connection, [number], [Policy("voter")], log)


def test_ranges_are_covered_with_the_batch(connection: Connection, counting: CountingConnection) -> None:
    """Also a range without a record in it."""
    ranges = [Covered(5, 3, 10, 20), Covered(5, 4, 0, 7)]
    assert counting.state(ranges, {}) == (False, False, True)
    count(counting, [], [], ranges)
    assert counting.state(ranges, {}) == (True, False, True)
    assert counting.state([Covered(5, 3, 12, 18)], {}) == (True, False, True)
    assert counting.state([*ranges, Covered(5, 5, 0, 1)], {}) == (False, False, True)


def test_a_batch_notifies_once(database_url: str, connection: Connection, counting: CountingConnection) -> None:
    connection.execute("LISTEN counted")
    count(counting, [], [], [Covered(6, 0, 0, 5), Covered(6, 1, 2, 3)])
    heard = list(connection.notifies(timeout=60, stop_after=1))
    assert [one.payload for one in heard] == ["6:0:0:5,6:1:2:3"]


def test_many_polls_in_one_batch(connection: Connection, counting: CountingConnection) -> None:
    policies = [Policy("voter") if number % 2 else Policy() for number in range(300)]
    numbers = insert_polls(connection, policies)
    chance = random.Random(1)
    log = random_log(chance, len(policies), 4, {(1, 0): 1500}, SECONDS)
    changed = count(counting, numbers, log, [])
    assert len(changed.results) == len({record.poll for record in log})
    check(connection, numbers, policies, log)


def test_the_model_itself() -> None:
    """Small cases worked out by hand, so that model and statement are not wrong together."""
    casts = [Record(0, 1, option, (1, 0), offset, offset) for offset, option in enumerate((2, 3, 2, 4))]

    def answer(policy: Policy) -> tuple[int | None, set[tuple[int, str]]]:
        outcome = expected(policy, casts)
        return outcome.option, set(outcome.rejected)

    reused, voted, late = "idempotency_key_reused", "already_voted", "poll_closed"
    assert answer(Policy()) == (2, {(3, reused), (4, reused)})
    assert answer(Policy("voter", allow_change=False)) == (2, {(3, voted), (4, voted)})
    assert answer(Policy("voter")) == (4, set())
    assert answer(Policy("voter", closes_after=1)) == (3, {(2, late), (4, late)})
    assert answer(Policy(closes_after=0, ends={})) == (None, {(2, late), (3, late), (4, late)})
    assert answer(Policy(deleted=True)) == (None, {(option, "poll_deleted") for option in (2, 3, 4)})
