"""Step 5 of 7, store: how far the log is counted, as PostgreSQL tells it to the bridge and to the topics' command."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import psycopg

from polling.core.votes import COUNTED_CHANNEL, Covered, read_note
from polling.store.queries import query
from polling.store.rows import Generation

Place = tuple[int, int]
"""(generation, partition)."""

_OPTIONS = "-c statement_timeout=10000 -c lock_timeout=5000 -c timezone=UTC"


class FrontierStore:
    """One blocking connection, for one thread. Every method raises `psycopg.Error` where PostgreSQL is away."""

    def __init__(self, database_url: str) -> None:
        self._connection: psycopg.Connection[tuple[Any, ...]] = psycopg.connect(
            database_url,
            autocommit=True,
            connect_timeout=5,
            tcp_user_timeout=10_000,
            keepalives_idle=5,
            options=_OPTIONS,
        )

    def close(self) -> None:
        self._connection.close()

    def listen(self) -> None:
        """From now on `hear` tells when something was counted."""
        self._connection.execute(f"LISTEN {COUNTED_CHANNEL}")

    def hear(self, seconds: float) -> list[Covered] | None:
        """Waits for at most so long for news of what was counted. None: something was, look for yourself."""
        heard: list[Covered] = []
        for notification in self._connection.notifies(timeout=seconds, stop_after=1):
            if not notification.payload:
                return None
            heard += read_note(notification.payload)
        return heard

    def generations(self) -> list[Generation]:
        """Those that are read, the newest last."""
        return [Generation(*row) for row in self._run("generations")]

    def topics_ever(self) -> set[str]:
        """The names of all topics that are or were generations."""
        return {name for (name,) in self._run("topics_ever")}

    def generations_ever(self) -> int:
        """The greatest number that a generation ever had; 0 where there was none."""
        return int(self._run("generations_ever")[0][0])

    def add_generation(
        self,
        generation: Generation,
        starts: list[int],
        *,
        replaced: Iterable[int] = (),
        continued: int | None = None,
    ) -> None:
        """Records a topic as the newest generation, counted from these offsets on, one a partition; and retires those
        that it replaces, all at once. Where it is the topic of a former generation, with more partitions, that one is
        `continued`: closed polls end where they did."""
        with self._connection.transaction():
            for number in replaced:
                self.retire_generation(number)
            self._connection.execute(query("add_generation"), {**generation._asdict(), "starts": starts})
            if continued is not None:
                parameters = {"continued": continued, "number": generation.number}
                self._connection.execute(query("continue_ends"), parameters)

    def retire_generation(self, number: int) -> None:
        """The topic is read no more."""
        self._connection.execute(query("retire_generation"), {"number": number})

    def frontiers(self) -> dict[Place, int]:
        """For each partition that is read, the offset before which everything is counted."""
        return {(generation, partition): after for generation, partition, after in self._run("frontiers")}

    def covered(self) -> list[Covered]:
        """Counted ranges that are not folded into the frontier."""
        return [Covered(*row) for row in self._run("covered")]

    def advance(self, frontiers: dict[Place, int]) -> None:
        """Moves frontiers forward and forgets the ranges behind them."""
        parameters = {
            "generations": [generation for generation, _ in frontiers],
            "partitions": [partition for _, partition in frontiers],
            "nexts": list(frontiers.values()),
        }
        self._connection.execute(query("advance_frontiers"), parameters)

    def record_lost(self, lost: Covered) -> None:
        """Keeps in mind that the log lost this range before it was counted, and lets counting go on after it."""
        parameters = {
            "generation": lost.generation,
            "partition": lost.partition,
            "first": lost.first,
            "next": lost.next,
        }
        self._connection.execute(query("record_lost_range"), parameters)

    def lost(self) -> list[Covered]:
        """Lost ranges that nobody has acknowledged."""
        return [Covered(*row) for row in self._run("lost_ranges")]

    def acknowledge_lost(self) -> int:
        """Ends the alarm; how many ranges it was about."""
        return self._connection.execute(query("acknowledge_lost_ranges")).rowcount

    def _run(self, name: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(query(name)).fetchall()
