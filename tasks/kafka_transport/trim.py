"""Celery over Kafka: finished records are deleted, so that a queue's disk holds what waits and not an hour's history.

Only what was finished a whole interval ago is deleted. Should its commit have been lost, the group starts at the
earliest record that is left, which is the one after it.
"""

from __future__ import annotations

from time import monotonic

from confluent_kafka import TopicPartition

from .topics import Topics


class Trimmer:
    """Deletes the finished records of one consumer's partitions every `interval` seconds; 0: never."""

    def __init__(self, topics: Topics, interval: float) -> None:
        self._topics = topics
        self._interval = interval
        self._next = monotonic() + interval
        self._finished: dict[tuple[str, int], int] = {}
        self._older: dict[tuple[str, int], int] = {}

    def note(self, topic: str, partition: int, offset: int) -> None:
        """All records before this offset are finished."""
        self._finished[topic, partition] = offset

    def turn(self) -> None:
        """Ask for a deletion when it is time. Never waits for it."""
        if not self._interval or monotonic() < self._next:
            return
        self._next = monotonic() + self._interval
        due, self._older, self._finished = self._older, self._finished, {}
        if due:
            self._topics.delete_before([TopicPartition(*place, offset) for place, offset in due.items()])
