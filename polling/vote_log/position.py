"""Step 2 of 7, log: where a record is."""

from __future__ import annotations

from typing import NamedTuple


class Position(NamedTuple):
    """Where the log keeps a record."""

    generation: int
    partition: int
    offset: int
