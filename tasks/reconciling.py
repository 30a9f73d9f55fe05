"""Step 5 of 7, store: holds tallies against a recount of the stored ballots."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

import psycopg

from polling.store.queries import query
from polling.telemetry import logger, metrics

log = logger(__name__)

_SAMPLE = 50


class Difference(NamedTuple):
    """A poll whose tally is not what its ballots say."""

    poll_id: str
    tally: list[int]
    recount: list[int]


def recount(connection: psycopg.Connection[tuple[Any, ...]], number: int, poll_id: str) -> Difference | None:
    """Compares one poll's tally with its ballots, both from one snapshot; None where they agree."""
    row = connection.execute(query("recount"), {"poll": number}).fetchone()
    if row is None:
        return Difference(poll_id, [], [])
    counts, total, _revision, recounted = row
    if list(counts) == [int(votes) for votes in recounted] and total == sum(counts):
        return None
    return Difference(poll_id, list(counts), [int(votes) for votes in recounted])


def reconcile_sample(connection: psycopg.Connection[tuple[Any, ...]]) -> int:
    """Recounts some polls by chance; answers how many differ, says so loudly, and sets the alarm's metric."""
    [(greatest,)] = connection.execute(query("greatest_poll")).fetchall()
    start = random.randint(1, max(1, greatest))  # noqa: S311 (a sample)
    polls = connection.execute(query("sample_for_recount"), {"from": start, "limit": _SAMPLE}).fetchall()
    differences = [found for number, poll_id in polls if (found := recount(connection, number, poll_id))]
    metrics.tally_differences.set(len(differences))
    for difference in differences:
        log.error(
            "tally differs from its ballots",
            poll=difference.poll_id,
            tally=difference.tally,
            recount=difference.recount,
        )
    return len(differences)
