"""Step 3 of 7, log to task: the window of batches that are handed out and not counted yet. Pure: time is given."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection

from polling.core.votes import Covered

_SLOWEST = 60.0  # seconds between two tries at the most


@dataclasses.dataclass
class Flight:
    """A batch under way: the ranges it covers, the message that carries it, and when to send it again."""

    ranges: list[Covered]
    message: bytes
    records: int
    due: float
    patience: float
    attempts: int = 0
    heard: bool = False


class Window:
    """Batches in flight, oldest first. A batch leaves it only when PostgreSQL holds its ranges. One that was merely
    heard of as counted takes no room any more, but is kept, and handed out again where that proves untrue."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._flights: list[Flight] = []

    def __len__(self) -> int:
        return len(self._flights)

    @property
    def flying(self) -> int:
        """How many batches nobody has said to be counted."""
        return sum(not flight.heard for flight in self._flights)

    @property
    def ranges(self) -> list[Covered]:
        """What all batches in flight cover."""
        return [one for flight in self._flights for one in flight.ranges]

    @property
    def records(self) -> int:
        return sum(flight.records for flight in self._flights)

    def add(self, ranges: list[Covered], message: bytes, records: int, now: float) -> Flight:
        """A new batch, due at once: the caller sends it, and says so by `sent`."""
        flight = Flight(ranges, message, records, due=now, patience=self._deadline)
        self._flights.append(flight)
        return flight

    def sent(self, flight: Flight, now: float) -> None:
        """It was handed out; it will be due again after a deadline that doubles each time."""
        flight.attempts += 1
        flight.heard = False
        flight.due = now + flight.patience
        flight.patience = min(_SLOWEST, flight.patience * 2)

    def delay(self, flight: Flight, now: float, seconds: float) -> None:
        """It could not be handed out; it is due again soon."""
        flight.due = now + seconds

    def hear(self, counted: Collection[Covered]) -> None:
        """Somebody said that these ranges are counted."""
        for flight in self._flights:
            if not flight.heard and all(one in counted for one in flight.ranges):
                flight.heard = True

    def land(self, is_covered: Callable[[Covered], bool]) -> int:
        """Takes out what is counted; answers how many batches that were."""
        before = len(self._flights)
        self._flights = [flight for flight in self._flights if not all(map(is_covered, flight.ranges))]
        return before - len(self._flights)

    def due(self, now: float) -> list[Flight]:
        """The batches to hand out now."""
        return [flight for flight in self._flights if flight.due <= now]
