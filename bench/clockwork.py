"""Scaling on paper: a clock of its own, on which one thing happens after the other, and what is waited for."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Generator

Walk = Generator["float | Pool", None, None]


class Pool:
    """So many servers, and a queue before them. `busy`: seconds of service given; `waits`: seconds in the queue."""

    def __init__(self, clock: Clock, servers: int) -> None:
        self._clock, self.servers, self.free = clock, servers, servers
        self.queue: deque[tuple[float, Walk]] = deque()
        self.busy, self.waits = 0.0, list[float]()

    def take(self, walk: Walk) -> None:
        """Goes on with this walk as soon as a server is free."""
        if self.free:
            self.free -= 1
            self.waits.append(0.0)
            self._clock.at(0.0, walk)
        else:
            self.queue.append((self._clock.now, walk))

    def give(self, seconds: float) -> None:
        """A server is free again, after so many seconds of service."""
        self.busy += seconds
        if self.queue:
            since, walk = self.queue.popleft()
            self.waits.append(self._clock.now - since)
            self._clock.at(0.0, walk)
        else:
            self.free += 1


class Clock:
    """What happens next. A walk yields seconds to let pass, or a pool of which it needs a server."""

    def __init__(self) -> None:
        self.now, self._count = 0.0, 0
        self._events: list[tuple[float, int, Walk]] = []

    def at(self, seconds: float, walk: Walk) -> None:
        """Goes on with this walk in so many seconds."""
        self._count += 1
        heapq.heappush(self._events, (self.now + seconds, self._count, walk))

    def run(self, until: float) -> None:
        """Until this time, or until nothing happens any more."""
        while self._events and self._events[0][0] <= until:
            self.now, _, walk = heapq.heappop(self._events)
            wanted = next(walk, None)
            if isinstance(wanted, Pool):
                wanted.take(walk)
            elif wanted is not None:
                self.at(wanted, walk)
