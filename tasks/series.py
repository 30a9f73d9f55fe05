"""Step 5 of 7, store: keeps how polls stand over time, and thins that as it ages. Counting has no part in it."""

from __future__ import annotations

from typing import Any

import psycopg

from polling.core.series import TIERS
from polling.store.queries import query
from polling.telemetry import logger

log = logger(__name__)

Connection = psycopg.Connection[tuple[Any, ...]]

_REACH = 86_400
"""Seconds beyond a tier's age in which points are looked at: each is thinned soon after it came to that age."""


def note(connection: Connection) -> int:
    """Keeps a point of each poll that changed; answers how many there were."""
    row = connection.execute(query("note_series")).fetchone()
    return 0 if row is None else int(row[0])


def thin(connection: Connection) -> int:
    """Takes away what is too much for its age, and what was of deleted polls; answers how many points that were."""
    gone = connection.execute(query("forget_series")).rowcount
    for after, step in TIERS:
        gone += connection.execute(query("thin_series"), {"after": after, "step": step, "reach": _REACH}).rowcount
    if gone:
        log.info("series thinned", points=gone)
    return gone
