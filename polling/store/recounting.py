"""Step 5 of 7, store: holds a poll's tally against a recount of its stored ballots, and mends it where it differs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import psycopg

from polling.store.queries import query

Connection = psycopg.Connection[tuple[Any, ...]]

_PAGE = 500


class Recount(NamedTuple):
    """A poll's tally, and what its ballots say; the two must agree."""

    poll_id: str
    counts: list[int]
    total: int
    recounted: list[int]

    @property
    def agrees(self) -> bool:
        return self.counts == self.recounted and self.total == sum(self.counts)


def recount(connection: Connection, number: int, poll_id: str) -> Recount:
    """Recounts one poll, tally and ballots from one snapshot."""
    row = connection.execute(query("recount"), {"poll": number}).fetchone()
    if row is None:
        return Recount(poll_id, [], -1, [])
    counts, total, _revision, recounted = row
    return Recount(poll_id, list(counts), total, [int(votes) for votes in recounted])


def mend(connection: Connection, number: int, poll_id: str) -> Recount | None:
    """Recounts one poll under its tally's lock, and sets the tally to that where it differs; answers what was found
    then. Exact beside counting: a batch has either committed, and is in the recount, or waits, and adds to it.
    """
    with connection.transaction():
        connection.execute(query("lock_tally"), {"poll": number})
        found = recount(connection, number, poll_id)  # a statement of its own, which sees what the lock waited for
        if found.agrees:
            return None
        parameters = {"poll": number, "counts": found.recounted, "total": sum(found.recounted)}
        connection.execute(query("mend_tally"), parameters)
    return found


def polls(connection: Connection, poll_id: str | None = None) -> Iterator[tuple[int, str]]:
    """(number, id) of every poll, deleted ones too, or of the one named."""
    if poll_id is not None:
        rows = connection.execute(query("poll_number"), {"id": poll_id}).fetchall()
        yield from ((number, poll_id) for (number,) in rows)
        return
    after = 0
    while rows := connection.execute(query("all_polls"), {"after": after, "limit": _PAGE}).fetchall():
        yield from rows
        after = rows[-1][0]
