"""Step 5 of 7, store: counts one batch in PostgreSQL, from arrays of packed elements.

One connection a process, made after any fork and again when it breaks. It plans without the just-in-time compiler,
which would take 500 ms for each batch, and keeps one plan for all of them.
"""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import psycopg
from psycopg import errors

from polling.core.polls import Results
from polling.core.votes import Covered, note
from polling.store import arrays
from polling.store.queries import COUNT, COUNT_BESIDE_A_CLOSER, query
from polling.telemetry import logger

log = logger(__name__)

REFUSED = (errors.DataError, errors.IntegrityError)
"""SQLSTATE classes 22 and 23: PostgreSQL refuses the batch as data. All else is an outage."""

_AGAIN = (errors.DeadlockDetected, errors.SerializationFailure, errors.LockNotAvailable)
_ATTEMPTS = 8
SESSION = " ".join(
    f"-c {setting}"
    for setting in (
        "jit=off",
        "synchronous_commit=on",
        "max_parallel_workers_per_gather=0",
        "plan_cache_mode=force_generic_plan",
        "enable_seqscan=off",  # the tables were small when the plan was made, and will not stay so
        "enable_mergejoin=off",  # it would sort a batch only to join it with its polls
        "lock_timeout=5000",
        "statement_timeout=30000",
        "idle_in_transaction_session_timeout=10000",
        "timezone=UTC",
    )
)
"""How a session counts, as libpq's `options`."""


@dataclasses.dataclass
class Casts:
    """The casts of a batch, as packed elements side by side."""

    polls: list[bytes] = dataclasses.field(default_factory=list)
    ballots: list[bytes] = dataclasses.field(default_factory=list)
    options: list[bytes] = dataclasses.field(default_factory=list)
    positions: list[bytes] = dataclasses.field(default_factory=list)
    times: list[bytes] = dataclasses.field(default_factory=list)

    def __len__(self) -> int:
        return len(self.positions)

    def part(self, begin: int, end: int) -> Casts:
        """Some of them, in order."""
        return Casts(*(getattr(self, field.name)[begin:end] for field in dataclasses.fields(self)))


class Shape(NamedTuple):
    """What counting needs to know of a poll; it never changes."""

    number: int
    options: int


class BatchState(NamedTuple):
    """All ranges are counted already; somebody waits to close one of the polls; all polls have the numbers they had."""

    covered: bool
    closing: bool
    known: bool


class Counted(NamedTuple):
    """What a batch changed: `results` by the poll's number, new ballots, and casts rejected."""

    results: list[tuple[int, int, tuple[int, ...], bool]]
    ballots: int
    rejected: int

    def as_results(self, ids: dict[int, str]) -> list[Results]:
        """The changed polls as snapshots. A final poll never changes, so that none of these is."""
        return [
            Results(ids[number], revision, counts, "open" if open_ else "closed", False)
            for number, revision, counts, open_ in self.results
        ]


class CountingConnection:
    """The process's connection for counting. Raises `psycopg.Error`; the next call connects again."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None

    def shapes(self, poll_ids: Iterable[str]) -> dict[str, Shape]:
        """The shapes of these polls, as far as they exist."""
        rows = self._run(query("poll_shapes"), {"ids": [poll_id for poll_id in poll_ids if "\0" not in poll_id]})
        return {poll_id: Shape(number, options) for poll_id, number, options in rows}

    def state(self, ranges: list[Covered], polls: Mapping[int, str]) -> BatchState:
        """How it stands with a batch's ranges, and with its polls: their ids by number, in that order."""
        ids = arrays.TextArray(list(map(arrays.text, polls.values())))
        parameters = {**_columns(ranges), "polls": _int8s(polls), "ids": ids}
        [(covered, closing, known)] = self._run(query("batch_state"), parameters)
        return BatchState(bool(covered), closing, known)

    def count(self, casts: Casts, polls: list[int], ranges: list[Covered], closing: bool) -> Counted:
        """Counts a batch, once or twice or beside itself. Tries again where two batches lock each other out."""
        parameters = parameters_of(casts, polls, ranges)
        for attempt in range(_ATTEMPTS):
            try:
                rows = self._run(COUNT_BESIDE_A_CLOSER if closing else COUNT, parameters)
            except _AGAIN as error:
                if attempt == _ATTEMPTS - 1:
                    raise
                log.info("batch tried again", reason=type(error).__name__, attempt=attempt + 1)
                time.sleep(random.uniform(0, 0.02 * 2**attempt))  # noqa: S311 (spreads, hides nothing)
            else:
                break
        changed = [(poll, revision, tuple(counts), open_) for poll, revision, counts, open_, *_ in rows if poll]
        return Counted(changed, rows[0][4], rows[0][5])

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _run(self, statement: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self._url,
                autocommit=True,
                prepare_threshold=0,
                connect_timeout=5,
                tcp_user_timeout=10_000,
                keepalives_idle=5,
                options=SESSION,
            )
            arrays.register(self._connection)
        return self._connection.execute(statement, parameters).fetchall()


def parameters_of(casts: Casts, polls: list[int], ranges: list[Covered]) -> dict[str, Any]:
    """What the counting statement takes."""
    return {
        "polls": _int8s(polls),
        "cast_polls": arrays.Int8Array(casts.polls),
        "cast_ballots": arrays.UuidArray(casts.ballots),
        "cast_options": arrays.Int2Array(casts.options),
        "cast_positions": arrays.Int8Array(casts.positions),
        "cast_times": arrays.TimestamptzArray(casts.times),
        **_columns(ranges),
        "note": note(ranges),
    }


def _int8s(numbers: Iterable[int]) -> arrays.Int8Array:
    return arrays.Int8Array([arrays.int8(number) for number in numbers])


def _columns(ranges: list[Covered]) -> dict[str, list[int]]:
    return {
        "generations": [covered.generation for covered in ranges],
        "partitions": [covered.partition for covered in ranges],
        "firsts": [covered.first for covered in ranges],
        "nexts": [covered.next for covered in ranges],
    }
