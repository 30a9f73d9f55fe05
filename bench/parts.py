"""Measuring: all parts by their names, in the order in which they are run, and how big each is."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Any

from bench import (
    backpressure,
    batches,
    fan_out,
    growth,
    hostile,
    hot_row,
    http_accept,
    idle,
    latency,
    leaderboard,
    log_to_counted,
    reading,
    recounting,
    soak,
    socket_votes,
    starting,
    stored,
    weight,
)
from bench.report import Part


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much is measured. `seconds`: of one measurement under load, of which each part makes `rounds`."""

    votes: int
    stored: int
    minutes: float
    seconds: float = 8
    rounds: int = 2
    sockets: tuple[int, ...] = (1000, 10_000)
    small: bool = False

    @classmethod
    def quick(cls) -> Sizes:
        """Seconds for each part."""
        return cls(votes=100_000, stored=200_000, minutes=0.5, seconds=2, rounds=1, sockets=(200,), small=True)

    def pick(self, usual: Any, small: Any) -> Any:
        """What a part measures, and in its place what it measures to show that it works."""
        return small if self.small else usual


def processors() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0))


_BACKPRESSURE = 0.1
"""Of the soak's time."""

_USUAL_GROWTH = growth.Sizes(
    voters=(16, 32, 64, 128, 256, 512),
    polls=(1, 1000, 2000, 4000, 8000, 16_000),
    sockets=(1000, 2000, 4000, 8000),
    partitions=(4, 8, 16, 32, 64),
    votes=150_000,
    seconds=3,
)
_SMALL_GROWTH = growth.Sizes(
    voters=(16, 32), polls=(100, 200), sockets=(500, 1000), partitions=(8, 16), votes=50_000, seconds=1
)

PARTS: dict[str, Callable[[Sizes], Part]] = {
    "http": lambda s: http_accept.measure(processes=1, seconds=s.seconds, rounds=s.rounds),
    "http-all": lambda s: http_accept.measure(processes=processors(), seconds=s.seconds, rounds=s.rounds),
    "sockets": lambda s: socket_votes.measure(seconds=s.seconds, rounds=s.rounds),
    "batch": lambda s: batches.measure(seconds=s.pick(4, 1), rounds=s.rounds),
    "read": lambda s: reading.measure(seconds=s.pick(5, 1), rounds=s.rounds),
    "log": lambda s: log_to_counted.measure(votes=s.votes),
    "log-hmac": lambda s: log_to_counted.measure(votes=s.votes, changing=True),
    "stored": lambda s: stored.measure(votes=s.votes, stored=s.stored, changing=False),
    "stored-hmac": lambda s: stored.measure(votes=s.votes, stored=s.stored, changing=True),
    "hot-row": lambda s: hot_row.measure(rounds=s.pick(200, 20)),
    "latency": lambda s: latency.measure(rate=500, seconds=s.pick(20, 4), search=s.pick(6, 2)),
    "fan-out": lambda s: fan_out.measure(sockets=s.sockets, seconds=s.pick(5, 2)),
    "idle": lambda s: idle.measure(sockets=s.pick(5000, 500)),
    "leaderboard": lambda s: leaderboard.measure(polls=s.pick(250_000, 10_000)),
    "recount": lambda s: recounting.measure(votes=s.votes // 2),
    "start": lambda s: starting.measure(rounds=s.pick(3, 1)),
    "bytes": lambda s: weight.measure(votes=s.votes // 4),
    "growth": lambda s: growth.measure(s.pick(_USUAL_GROWTH, _SMALL_GROWTH)),
    "soak": lambda s: soak.measure(minutes=s.pick(s.minutes, 0.2), search=s.pick(6, 2)),
    "backpressure": lambda s: backpressure.measure(seconds=s.minutes * 60 * _BACKPRESSURE),
    "hostile": lambda s: hostile.measure(seconds=s.pick(4, 2), rounds=s.rounds),
}
