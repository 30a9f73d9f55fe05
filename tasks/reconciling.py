"""Step 5 of 7, store: the steady check that tallies are what the stored ballots say."""

from __future__ import annotations

import random

from polling.store.queries import query
from polling.store.recounting import Connection, recount
from polling.telemetry import logger, metrics

log = logger(__name__)

_SAMPLE = 50


def reconcile_sample(connection: Connection) -> int:
    """Recounts some polls by chance; answers how many differ, says so loudly, and sets the alarm's metric."""
    [(greatest,)] = connection.execute(query("greatest_poll")).fetchall()
    start = random.randint(1, max(1, greatest))  # noqa: S311 (a sample)
    polls = connection.execute(query("sample_for_recount"), {"from": start, "limit": _SAMPLE}).fetchall()
    recounts = [recount(connection, number, poll_id) for number, poll_id in polls]
    differing = [one for one in recounts if not one.agrees]
    metrics.tally_differences.set(len(differing))
    for one in differing:
        log.error("tally differs from its ballots", poll=one.poll_id, tally=one.counts, recount=one.recounted)
    return len(differing)
