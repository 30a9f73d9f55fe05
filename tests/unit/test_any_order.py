"""The unit tests: one recorded log, counted a hundred times over, out of order: always the same, ballot for ballot.

As records go through the tasks: the values are JSON, batches are cut anywhere, come twice and overlap, and four workers
count at once on a real PostgreSQL.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby, pairwise

import pytest

from polling.core.votes import Slice
from polling.store.counting import CountingConnection
from polling.vote_log import DEAD_TOPIC, Topics
from tasks.dead_letters import DeadLetters
from tasks.recording import Recorder
from unit.counting_model import (
    BEGAN,
    OPTIONS,
    Connection,
    Outcome,
    Place,
    Policy,
    Record,
    expected,
    insert_polls,
    random_log,
)

RUNS = 100
WORKERS = 4
BALLOTS = 12
SIZES: dict[Place, int] = {(1, 0): 110, (1, 1): 90, (2, 0): 100}
TOPICS = {1: "votes", 2: "votes.2"}
ENDS: dict[Place, int] = {(1, 0): 50, (2, 0): 10_000}
POLICIES = [
    Policy(),
    Policy("voter", allow_change=True),
    Policy("browser", allow_change=False),
    Policy("voter", allow_change=True, closes_after=500),
    Policy(closes_after=600),
    Policy("browser", allow_change=True, closes_after=700, ends=ENDS),
    Policy(closes_after=700, ends=ENDS),
    Policy("voter", deleted=True),
    Policy("browser", allow_change=False, gaps=((200, 450),)),
    Policy("voter", allow_change=True, closes_after=800, gaps=((150, 300), (500, 550))),
]

Found = dict[tuple[int, int], Outcome]
"""What became of each ballot, by poll (a place in POLICIES) and ballot."""


@pytest.fixture
def workers(database_url: str, kafka_broker: str) -> Iterator[list[Recorder]]:
    connections = [CountingConnection(database_url) for _ in range(WORKERS)]
    yield [Recorder(connection, DeadLetters(kafka_broker)) for connection in connections]
    for connection in connections:
        connection.close()


def test_a_hundred_times_out_of_order(connection: Connection, workers: list[Recorder]) -> None:
    chance = random.Random(7)
    log = random_log(chance, len(POLICIES), BALLOTS, SIZES, 1000)
    wanted = outcomes(log)
    assert sum(bool(one.rejected) for one in wanted.values()) > len(wanted) / 3
    with ThreadPoolExecutor(WORKERS) as pool:
        for run in range(RUNS):
            numbers = insert_polls(connection, POLICIES)
            # The ranges must not be known as counted: here all of them are to be counted again and again.
            connection.execute("DELETE FROM covered")
            batches = cut(chance, recorded(log, ids(connection, numbers)))
            shares = [batches[number::WORKERS] for number in range(WORKERS)]
            for done in [pool.submit(work, *one) for one in zip(workers, shares, strict=True)]:
                done.result(timeout=90)
            assert stored(connection, numbers) == wanted, f"run {run}"
            assert tallies(connection, numbers) == [
                [sum(one.option == option for (of, _), one in wanted.items() if of == poll) for option in range(1, 5)]
                for poll in range(len(POLICIES))
            ]


def test_a_number_that_is_another_polls_now_counts_for_that_one_alone(
    connection: Connection, workers: list[Recorder], kafka_broker: str
) -> None:
    """As after a restored backup, in a worker that lived through it, with votes for both polls in one batch."""
    Topics(kafka_broker).create(DEAD_TOPIC, 1, 1, 1)
    numbers = insert_polls(connection, [Policy()])
    [gone] = ids(connection, numbers)
    new = f"z{gone}"

    def vote(poll: str, ballot: int) -> bytes:
        return json.dumps({"poll": poll, "ballot": f"{ballot:032x}", "option": "1"}).encode()

    workers[0].record([Slice(9, 0, 0, 1, [0], [0], [vote(gone, 1)])], TOPICS)
    connection.execute("UPDATE polls SET id = %s WHERE number = %s", [new, numbers[0]])
    workers[0].record([Slice(9, 0, 1, 3, [1, 2], [0, 0], [vote(gone, 2), vote(new, 3)])], {9: "votes.9"})
    rows = connection.execute("SELECT ballot FROM ballots WHERE poll = ANY(%s)", [numbers]).fetchall()
    assert {ballot.int for (ballot,) in rows} == {1, 3}
    assert tallies(connection, numbers) == [[2, 0, 0, 0]]


def outcomes(log: list[Record]) -> Found:
    def name(one: Record) -> tuple[int, int]:
        return one.poll, one.ballot

    grouped = groupby(sorted(log, key=name), key=name)
    return {(poll, ballot): expected(POLICIES[poll], casts) for (poll, ballot), casts in grouped}


def recorded(log: list[Record], polls: list[str]) -> dict[Place, Slice]:
    """The log as Kafka has it: each partition's records whole."""
    whole = {}
    for place, size in SIZES.items():
        records = [one for one in log if one.place == place]
        values = [
            json.dumps({"poll": polls[one.poll], "ballot": f"{one.ballot:032x}", "option": str(one.option)}).encode()
            for one in records
        ]
        times = [round(one.time.timestamp() * 1000) for one in records]
        assert [one.offset for one in records] == list(range(size))
        whole[place] = Slice(*place, 0, size, list(range(size)), times, values)
    return whole


def cut(chance: random.Random, whole: dict[Place, Slice]) -> list[list[Slice]]:
    """Batches that cover all of the log at least once, in no order: cut anywhere, some twice, some over others."""
    parts: list[Slice] = []
    for part in whole.values():
        cuts = sorted({0, part.next, *chance.sample(range(1, part.next), 4)})
        parts += [piece(part, *cut) for cut in pairwise(cuts)]
        parts += [piece(part, *cut) for cut in chance.sample(list(pairwise(cuts)), 2)]
        start = chance.randrange(part.next - 40)
        parts.append(piece(part, start, start + 40))
    chance.shuffle(parts)
    batches: list[list[Slice]] = []
    for part in parts:
        last = batches[-1] if batches else []
        if last and chance.random() < 0.5 and (part.generation, part.partition) not in [_place(one) for one in last]:
            last.append(part)
        else:
            batches.append([part])
    return batches


def piece(part: Slice, first: int, after: int) -> Slice:
    rows = (part.offsets[first:after], part.times[first:after], part.values[first:after])
    return Slice(part.generation, part.partition, first, after, *rows)


def work(worker: Recorder, batches: list[list[Slice]]) -> None:
    for batch in batches:
        worker.record(batch, TOPICS)


def ids(connection: Connection, numbers: list[int]) -> list[str]:
    rows = connection.execute("SELECT id FROM polls WHERE number = ANY(%s) ORDER BY number", [numbers]).fetchall()
    return [poll_id for (poll_id,) in rows]


def stored(connection: Connection, numbers: list[int]) -> Found:
    """All that readers are told, for each ballot that has anything."""
    found: Found = {}
    ballots = connection.execute(
        "SELECT poll, ballot, option, rank FROM ballots WHERE poll = ANY(%s)", [numbers]
    ).fetchall()
    for poll, ballot, option, rank in ballots:
        found[numbers.index(poll), ballot.int] = Outcome(option, rank, frozenset())
    rejections = connection.execute(
        "SELECT poll, ballot, option, reason FROM rejections WHERE poll = ANY(%s)", [numbers]
    ).fetchall()
    for poll, ballot, option, reason in rejections:
        policy = numbers.index(poll)
        before = found.get((policy, ballot.int), Outcome(None, None, frozenset()))
        taken = "already_voted" if POLICIES[policy].one_vote_per else "idempotency_key_reused"
        told = {(option, taken if reason == "taken" else reason)} if option != before.option else set()
        found[policy, ballot.int] = before._replace(rejected=before.rejected | told)
    return found


def tallies(connection: Connection, numbers: list[int]) -> list[list[int]]:
    rows = connection.execute("SELECT counts FROM tallies WHERE poll = ANY(%s) ORDER BY poll", [numbers]).fetchall()
    return [list(counts) for (counts,) in rows]


def _place(part: Slice) -> Place:
    return part.generation, part.partition


def test_the_log_has_what_it_is_meant_to_have() -> None:
    """Ballots that are cast several times in one partition and in several, in time and late."""
    log = random_log(random.Random(7), len(POLICIES), BALLOTS, SIZES, 1000)
    assert len({one.option for one in log}) == OPTIONS
    casts: dict[tuple[int, int], set[Place]] = {}
    for one in log:
        casts.setdefault((one.poll, one.ballot), set()).add(one.place)
    assert sum(len(places) > 1 for places in casts.values()) > len(casts) / 2
    assert min(one.time for one in log) == BEGAN
