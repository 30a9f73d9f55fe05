"""Celery over Kafka: a record on its way to a worker, and where in the log it stands."""

from __future__ import annotations

from typing import Any, NamedTuple


class Position(NamedTuple):
    """Where a record stands in the log."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}:{self.offset}"


class Delivery(NamedTuple):
    """A decoded record: `payload` is what kombu's Message takes, `record` is confluent_kafka's Message."""

    position: Position
    payload: dict[str, Any]
    record: Any
