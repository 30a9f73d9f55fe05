"""Step 2 of 7, log: where a record is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from confluent_kafka import Message


class Position(NamedTuple):
    """Where the log keeps a record."""

    generation: int
    partition: int
    offset: int


def position_of(delivered: Message, generations: Mapping[str, int]) -> Position:
    """Where a record is that Kafka has acknowledged; `generations` by their topics."""
    return Position(generations[delivered.topic() or ""], delivered.partition() or 0, delivered.offset() or 0)
