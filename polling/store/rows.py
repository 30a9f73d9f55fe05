"""Step 5 of 7, store: from rows to what the core calls them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from polling.core.leaderboard import Entry, Leaderboard, Option
from polling.core.polls import Poll, Results, share

Row = Mapping[str, Any]


class Generation(NamedTuple):
    """One topic of the vote log, and what Kafka calls it: after the number the same as `vote_log.LogTopic`."""

    number: int
    topic: str
    cluster_id: str
    topic_id: str
    partitions: int


class StoredBallot(NamedTuple):
    """A ballot that counts: for which option (from 1), and by which time of the log."""

    ballot: bytes
    option: int
    logged_at: datetime


def to_poll(row: Row) -> Poll:
    """A row with the columns of the query `poll`."""
    closes_at = row["closes_at"]
    return Poll(
        number=row["number"],
        id=row["id"],
        question=row["question"],
        options=tuple(row["options"]),
        one_vote_per=row["one_vote_per"],
        allow_change=row["allow_change"],
        listed=row["listed"],
        created_at=row["created_at"].astimezone(UTC),
        closes_at=closes_at and closes_at.astimezone(UTC),
        closed=row["closed"],
        deleted=row["deleted"],
        key=bytes(row["key"]),
        admin_token_hash=bytes(row["admin_token_hash"]),
        results_visible=row["results_visible"],
        reopened=row["reopened"],
    )


def to_results(row: Row) -> Results:
    """A row with the columns of the query `results`."""
    return Results(
        poll_id=row["id"],
        revision=row["revision"],
        counts=tuple(row["counts"]),
        status="open" if row["open"] else "closed",
        final=row["final"],
        settled=row["open"] or row["announced"],
    )


def to_leaderboard(rows: list[tuple[Any, ...]], updated_at: datetime) -> Leaderboard:
    """Rows of the query `leaderboard`, the most votes first."""
    return Leaderboard(
        updated_at.astimezone(UTC),
        tuple(
            Entry(rank, poll_id, question, Option(str(number), text), votes, share(votes, total))
            for rank, (poll_id, question, number, text, votes, total) in enumerate(rows, 1)
        ),
    )
