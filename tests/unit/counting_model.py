"""The unit tests: what counting a log must come to, in a few lines of Python; and such logs, made and counted."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import psycopg
from psycopg.types.multirange import TimestamptzMultirange
from psycopg.types.range import TimestamptzRange

from polling.core import positions
from polling.core.votes import Covered, VoteState, state
from polling.store import arrays
from polling.store.counting import Casts, Counted, CountingConnection
from polling.store.queries import query

Connection = psycopg.Connection[tuple[Any, ...]]
Place = tuple[int, int]
"""(generation, partition)."""

OPTIONS = 4
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


class Policy(NamedTuple):
    """A poll's rules. `closes_after` is in seconds after BEGAN; `ends` are offsets where counting ends; `gaps` are from
    after when and until when the poll was closed before that, in seconds as well."""

    one_vote_per: str | None = None
    allow_change: bool = True
    closes_after: float | None = None
    ends: dict[Place, int] | None = None
    deleted: bool = False
    gaps: tuple[tuple[float, float], ...] = ()

    @property
    def last_wins(self) -> bool:
        return self.one_vote_per is not None and self.allow_change

    @property
    def closes_at(self) -> datetime | None:
        return None if self.closes_after is None else BEGAN + timedelta(seconds=self.closes_after)

    @property
    def spans(self) -> list[tuple[datetime, datetime]]:
        """The gaps in times."""
        return [(BEGAN + timedelta(seconds=closed), BEGAN + timedelta(seconds=opened)) for closed, opened in self.gaps]


class Record(NamedTuple):
    """One record of the log; `poll` is a policy's place in its list, `seconds` the log's time after BEGAN."""

    poll: int
    ballot: int
    option: int
    place: Place
    offset: int
    seconds: float

    @property
    def position(self) -> int:
        return positions.pack(*self.place, self.offset)

    @property
    def time(self) -> datetime:
        return BEGAN + timedelta(seconds=self.seconds)


class Outcome(NamedTuple):
    """What became of a ballot: the option that counts and its rank, None where none does; and what was rejected."""

    option: int | None
    rank: int | None
    rejected: frozenset[tuple[int, str]]


def expected(policy: Policy, casts: Iterable[Record]) -> Outcome:
    """The contract, for one ballot's casts in any order."""
    in_time: list[Record] = []
    late: set[tuple[int, str]] = set()
    for cast in sorted(casts, key=lambda cast: cast.position):
        if policy.deleted:
            late.add((cast.option, "poll_deleted"))
        elif _is_late(policy, cast):
            late.add((cast.option, "poll_closed"))
        else:
            in_time.append(cast)
    if not in_time:
        return Outcome(None, None, frozenset(late))
    winner = in_time[-1] if policy.last_wins else in_time[0]
    taken = "already_voted" if policy.one_vote_per else "idempotency_key_reused"
    others = set() if policy.last_wins else {(cast.option, taken) for cast in in_time}
    rejected = frozenset(one for one in others | late if one[0] != winner.option)
    return Outcome(winner.option, winner.position if policy.last_wins else -winner.position, rejected)


def _is_late(policy: Policy, cast: Record) -> bool:
    if policy.closes_at is not None and cast.time > policy.closes_at:
        return True
    if any(closed < cast.time <= opened for closed, opened in policy.spans):
        return True
    return policy.ends is not None and cast.offset >= policy.ends.get(cast.place, 0)


def insert_polls(connection: Connection, policies: Sequence[Policy]) -> list[int]:
    """A poll for each policy; their numbers."""
    numbers = []
    for policy in policies:
        ends = None
        if policy.ends is not None:
            ends = [positions.pack(*place, end) for place, end in policy.ends.items()]
        row = connection.execute(
            "WITH made AS (INSERT INTO polls (id, question, options, one_vote_per, allow_change, listed, created_at,"
            " closes_at, ends, deleted_at, gaps, key, admin_token_hash)"
            " VALUES (gen_random_uuid(), 'q', %s, %s, %s, true, now(), %s, %s, %s, %s, '', '') RETURNING number)"
            " INSERT INTO tallies (poll, counts) SELECT number, array_fill(0, %s) FROM made RETURNING poll",
            (
                [str(option) for option in range(1, OPTIONS + 1)],
                policy.one_vote_per,
                policy.allow_change,
                policy.closes_at,
                ends,
                BEGAN if policy.deleted else None,
                TimestamptzMultirange([TimestamptzRange(*span, "(]") for span in policy.spans])
                if policy.gaps
                else None,
                [OPTIONS],
            ),
        ).fetchone()
        assert row is not None
        numbers.append(row[0])
    return numbers


def count(
    counting: CountingConnection,
    numbers: Sequence[int],
    batch: Sequence[Record],
    ranges: list[Covered],
    *,
    closing: bool = False,
) -> Counted:
    """Has these records counted as one batch; `closing` where somebody waits to close one of the polls."""
    casts = Casts(
        [arrays.int8(numbers[record.poll]) for record in batch],
        [arrays.uuid(record.ballot.to_bytes(16)) for record in batch],
        [arrays.int2(record.option) for record in batch],
        [arrays.int8(record.position) for record in batch],
        [arrays.timestamptz(round(record.time.timestamp() * 1000)) for record in batch],
    )
    return counting.count(casts, sorted({numbers[record.poll] for record in batch}), ranges, closing)


def check(connection: Connection, numbers: Sequence[int], policies: Sequence[Policy], log: Iterable[Record]) -> None:
    """Holds what is stored against the model: ballots, ranks, tallies, and what readers are told of rejections."""
    casts: dict[tuple[int, int], list[Record]] = {}
    for record in log:
        casts.setdefault((record.poll, record.ballot), []).append(record)
    outcomes = {key: expected(policies[key[0]], found) for key, found in casts.items()}
    for poll, number in enumerate(numbers):
        wanted = {ballot: outcome for (of, ballot), outcome in outcomes.items() if of == poll}
        assert _stored(connection, number) == {
            ballot: (outcome.option, outcome.rank) for ballot, outcome in wanted.items() if outcome.option is not None
        }, policies[poll]
        told = {ballot: _told(connection, number, policies[poll], ballot) for ballot in wanted}
        assert {ballot: (one.option, frozenset(one.rejected)) for ballot, one in told.items()} == {
            ballot: (outcome.option, outcome.rejected) for ballot, outcome in wanted.items()
        }, policies[poll]
        assert all(len(one.rejected) == len(set(one.rejected)) for one in told.values())
        counts = [sum(outcome.option == option for outcome in wanted.values()) for option in range(1, OPTIONS + 1)]
        tally = connection.execute("SELECT counts, total FROM tallies WHERE poll = %s", [number]).fetchone()
        assert tally == (counts, sum(counts)), policies[poll]


def random_log(
    chance: random.Random, policies: int, ballots: int, sizes: dict[Place, int], seconds: int
) -> list[Record]:
    """A log with many casts a ballot, over several partitions."""
    return [
        Record(
            poll=chance.randrange(policies),
            ballot=chance.randrange(ballots),
            option=chance.randint(1, OPTIONS),
            place=place,
            offset=offset,
            seconds=round(seconds * offset / size),
        )
        for place, size in sizes.items()
        for offset in range(size)
    ]


def _stored(connection: Connection, number: int) -> dict[int, tuple[int, int]]:
    rows = connection.execute("SELECT ballot, option, rank FROM ballots WHERE poll = %s", [number]).fetchall()
    return {ballot.int: (option, rank) for ballot, option, rank in rows}


def _told(connection: Connection, number: int, policy: Policy, ballot: int) -> VoteState:
    name = {"poll": number, "ballot": ballot.to_bytes(16).hex()}
    row = connection.execute(query("vote_state"), name).fetchone()
    assert row is not None
    option, options, reasons, revision = row
    rejected = list(zip(options or (), reasons or (), strict=True))
    return state(option, rejected, revision, keyed=policy.one_vote_per is None)
