"""Step 5 of 7, store: tells of polls that closed, and makes them final once every vote that may count is counted."""

from __future__ import annotations

from typing import Any

import psycopg

from polling.core.polls import Results
from polling.store.queries import query
from polling.telemetry import logger
from polling.vote_log import LogTopic, Topics

log = logger(__name__)

_AT_ONCE = 500

Connection = psycopg.Connection[tuple[Any, ...]]


def announce(connection: Connection) -> list[Results]:
    """Raises the revision of polls whose time came; answers how they stand."""
    numbers = [number for (number,) in connection.execute(query("polls_to_announce"), {"limit": _AT_ONCE}).fetchall()]
    if not numbers:
        return []
    rows = connection.execute(query("announce_closed"), {"numbers": numbers}).fetchall()
    return [_closed(row, final=False) for row in rows]


def seal(connection: Connection, topics: Topics, skew: float) -> None:
    """Fixes where counting ends for polls that have been closed for the allowed skew: at the log's ends as Kafka tells
    them after that, or after what was counted already. In one transaction a poll, under the poll's lock. Not while the
    log is another one than was counted."""
    parameters: dict[str, Any] = {"limit": _AT_ONCE, "skew": skew}
    closed = connection.execute(query("polls_to_seal"), parameters).fetchall()
    if not closed:
        return
    ends = _ends(connection, topics)
    if ends is None:
        log.info("polls are not sealed while the vote log is not the one that was counted", polls=len(closed))
        return
    parameters = {
        "generations": [end[0] for end in ends],
        "partitions": [end[1] for end in ends],
        "nexts": [end[2] for end in ends],
    }
    for number, closes_at in closed:
        with connection.transaction():
            connection.execute(query("lock_poll"), {"number": number})
            connection.execute(query("seal_poll"), {"number": number, "closes_at": closes_at, **parameters})
    log.info("polls sealed", polls=len(closed))


def _ends(connection: Connection, topics: Topics) -> list[tuple[int, int, int]] | None:
    """(generation, partition, offset) of every end of the log. None where the log is another one than was counted, or
    has more partitions: what was written there before somebody adopts it may be in time all the same."""
    frontiers = {tuple(place): after for *place, after in connection.execute(query("frontiers")).fetchall()}
    ends: list[tuple[int, int, int]] = []
    for number, *names in connection.execute(query("generations")).fetchall():
        generation = LogTopic(*names)
        if not topics.has(generation, grown=False):
            return None
        found = topics.ends(generation.topic, range(generation.partitions))
        if any(end < frontiers.get((number, partition), 0) for partition, end in found.items()):
            return None
        ends += [(number, partition, end) for partition, end in found.items()]
    return ends


def finalise(connection: Connection) -> list[Results]:
    """Marks sealed polls final once the frontier has reached their ends; answers how they stand, for good."""
    rows = connection.execute(query("finalise"), {"limit": _AT_ONCE}).fetchall()
    return [_closed(row, final=True) for row in rows]


def _closed(row: tuple[Any, ...], *, final: bool) -> Results:
    poll_id, revision, counts = row
    return Results(poll_id, revision, tuple(counts), "closed", final)
