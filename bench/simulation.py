"""Scaling on paper: votes walk through a system that is only numbers, from event to event on a clock of its own.

Whoever wants a processor, a process, or the rows of a tally waits until one is free; who came first is served first.
What each costs is measured (`bench.costs`). That a service takes from half to one and a half times its cost, each as
likely, is assumed; so is that votes come at random times, one by one where users wait for answers, else in groups, as
many as one API process gathers in the 2 ms for which its producer waits.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from bench.clockwork import Clock, Pool, Walk
from polling.settings import Settings

LINGER = 0.002
"""Seconds for which a producer gathers votes (`linger.ms`)."""

BATCH = Settings.bridge_batch
WINDOW = Settings.bridge_window
LOOK = 0.001
PACE, SLOWEST_PACE, SMOOTHING = 5e-6, 0.05, 0.3
"""How a bridge waits for batches to become fuller, as in `bridge/loop.py`."""


class Machines(NamedTuple):
    """How many there are. `cores`: processors, by process; with `shared` all of them share so many instead. `rows`: how
    many batches may move tallies at once: one for each database that has polls of its own."""

    api: int
    bridges: int
    workers: int
    cores: Mapping[str, int]
    rows: int = 1
    shared: int = 0


class Stage(NamedTuple):
    """Servers, the part of their time for which they are taken, and milliseconds that were waited for one: the mean,
    and p99."""

    servers: int
    used: float
    wait: float
    longest: float


class Outcome(NamedTuple):
    """Votes counted a second; each stage; and milliseconds from accepted to counted, p50 and p99."""

    rate: float
    stages: dict[str, Stage]
    p50: float
    p99: float


class Pipeline:
    """`cpu`: microseconds of a vote, by process. `held`: milliseconds for which a full batch holds the rows, and
    `commit` those of them in which it only waits for the disk."""

    def __init__(self, machines: Machines, cpu: Mapping[str, float], held: float, commit: float, seed: int = 1) -> None:
        self.clock, self._random = Clock(), random.Random(seed)
        self._cpu = {role: microseconds / 1e6 for role, microseconds in cpu.items()}
        self._moving, self._commit = (held - commit) / 1000 / BATCH, commit / 1000
        common = Pool(self.clock, machines.shared) if machines.shared else None
        self._cores = {role: common or Pool(self.clock, cores) for role, cores in machines.cores.items()}
        self._api, self._client = Pool(self.clock, machines.api), Pool(self.clock, 1)
        self._workers, self._rows = Pool(self.clock, machines.workers), Pool(self.clock, machines.rows)
        self._window = Pool(self.clock, WINDOW * machines.bridges)
        self._machines = machines
        self._log: deque[tuple[float, int]] = deque()
        self._waiting, self._beforehand = 0, False
        self._gathered: list[Pool] = []
        self._counted, self._delays = 0, list[float]()

    def pools(self) -> dict[str, Pool]:
        """All that is waited for, by what the page calls it."""
        cores = {
            "processors of Kafka": self._cores["kafka"],
            "bridges": self._cores["bridge"],
            "processors of PostgreSQL": self._cores["postgres"],
        }
        return {
            "API processes": self._api,
            **({"all processors": self._cores["kafka"]} if self._machines.shared else cores),
            "worker processes": self._workers,
            "rows of tallies": self._rows,
        }

    def run(self, seconds: float, *, rate: float = 0, users: int = 0, logged: int = 0) -> Outcome:
        """Lets votes come at this rate, or from users who wait for their answers; or counts what is in the log. The
        first fifth of the time is not looked at."""
        self._log.extend((0.0, BATCH) for _ in range(logged // BATCH))
        self._waiting, self._beforehand = logged // BATCH * BATCH, bool(logged)
        for _ in range(self._machines.bridges):
            self.clock.at(0.0, self._bridge())
        for number in range(users):
            self.clock.at(number * 1e-5, self._voter())
        if rate:
            self.clock.at(0.0, self._arrivals(rate))
        self.clock.run(seconds / 5)
        begun, counted = self.clock.now, self._counted
        busy = {name: pool.busy for name, pool in self.pools().items()}
        for pool in self.pools().values():
            pool.waits.clear()
        self._delays.clear()
        self.clock.run(seconds)
        passed = self.clock.now - begun
        stages = {}
        for name, pool in self.pools().items():
            waits = sorted([*pool.waits, *(self.clock.now - since for since, _ in pool.queue)]) or [0.0]
            used = (pool.busy - busy[name]) / passed / pool.servers
            stages[name] = Stage(pool.servers, used, sum(waits) / len(waits) * 1000, _percentile(waits, 0.99) * 1000)
        delays = sorted(self._delays) or [0.0]
        p50, p99 = (_percentile(delays, share) * 1000 for share in (0.5, 0.99))
        return Outcome((self._counted - counted) / passed, stages, p50, p99)

    def _work(self, role: str, seconds: float, process: Pool | None = None) -> Walk:
        """A processor serves, while one of the processes is taken."""
        seconds *= self._random.uniform(0.5, 1.5)
        begun = self.clock.now
        if process:
            yield process
            begun = self.clock.now
        yield self._cores[role]
        yield seconds
        self._cores[role].give(seconds)
        if process:
            process.give(self.clock.now - begun)

    def _arrivals(self, rate: float) -> Walk:
        group = max(1, round(rate / self._machines.api * LINGER))
        while True:
            yield self._random.expovariate(rate / group)
            self.clock.at(0.0, self._group(group))

    def _group(self, votes: int) -> Walk:
        yield from self._work("api", votes * self._cpu["api"], self._api)
        yield from self._append(votes)

    def _append(self, votes: int) -> Walk:
        yield from self._work("kafka", votes * self._cpu["kafka"])
        self._log.append((self.clock.now, votes))
        self._waiting += votes

    def _voter(self) -> Walk:
        """One who waits for each answer: the vote waits for its group, and the group for Kafka."""
        while True:
            yield from self._work("client", self._cpu.get("client", 0.0), self._client)
            yield from self._work("api", self._cpu["api"], self._api)
            if not self._gathered:
                self.clock.at(LINGER, self._flush())
            answer = Pool(self.clock, 0)
            self._gathered.append(answer)
            yield answer

    def _flush(self) -> Walk:
        answers, self._gathered = self._gathered, []
        yield from self._append(len(answers))
        for answer in answers:
            answer.give(0.0)

    def _bridge(self) -> Walk:
        rate, dispatched = 0.0, 0.0
        while True:
            full = self._waiting >= BATCH
            if not full and (not self._log or self.clock.now - dispatched < min(SLOWEST_PACE, rate * PACE)):
                yield LOOK
                continue
            batch, votes = list[tuple[float, int]](), 0
            while self._log and votes < BATCH:
                batch.append(self._log.popleft())
                votes += batch[-1][1]
            self._waiting -= votes
            rate += SMOOTHING * (votes / max(self.clock.now - dispatched, LOOK) - rate)
            dispatched = self.clock.now
            yield self._window
            yield from self._work("bridge", votes * self._cpu["bridge"])
            if self._beforehand:
                yield from self._work("kafka", votes * self._cpu["kafka"])
            self.clock.at(0.0, self._task(batch, votes))

    def _task(self, batch: list[tuple[float, int]], votes: int) -> Walk:
        yield self._workers
        begun = self.clock.now
        yield from self._work("worker", votes * self._cpu["worker"])
        moving = votes * self._moving
        yield from self._work("postgres", max(0.0, votes * self._cpu["postgres"] - moving))
        yield self._rows
        locked = self.clock.now
        yield from self._work("postgres", moving)
        yield self._commit
        self._rows.give(self.clock.now - locked)
        self._workers.give(self.clock.now - begun)
        self._window.give(0.0)
        self._counted += votes
        self._delays += [self.clock.now - accepted for accepted, _ in batch]


def _percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
