"""Chaos: what was asked of the system and what it answered: each operation ok, fail or unknown."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Literal, NamedTuple

Outcome = Literal["ok", "fail", "unknown"]
"""ok: answered 202. fail: refused for good, so that it must not count. unknown: it may count, or not."""

Pair = tuple[str, bytes]
"""(poll id, ballot)."""


class Operation(NamedTuple):
    """One cast. `ballot` is None where only the door could know it: a plain vote whose answer was lost.

    `code` is the refusal's, or says why the outcome is unknown. Times are seconds of the monotonic clock.
    """

    kind: str
    poll: str
    ballot: bytes | None
    option: int
    outcome: Outcome
    code: str | None
    began: float
    ended: float


class History:
    """All operations of a run. Any thread may add to it."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self._operations: list[Operation] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._operations)

    def add(self, operations: Iterable[Operation]) -> None:
        with self._lock:
            self._operations.extend(operations)

    def all(self) -> list[Operation]:
        """Those of now, in the order of their ends."""
        with self._lock:
            return list(self._operations)


class Told(NamedTuple):
    """What clients know when all is over, for the checks. The options are those of the casts, by ballot."""

    ok: dict[Pair, set[int]]
    unknown: dict[Pair, set[int]]
    failed: dict[Pair, set[int]]
    nameless: Counter[str]
    """How many votes with an unknown ballot are unknown, by poll: so many ballots nobody knows may be there."""
    refused: Counter[str]


def told(operations: Iterable[Operation]) -> Told:
    """Sums up a history."""
    by_outcome: dict[Outcome, dict[Pair, set[int]]] = {
        "ok": defaultdict(set),
        "unknown": defaultdict(set),
        "fail": defaultdict(set),
    }
    nameless: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for one in operations:
        if one.outcome == "fail":
            refused[str(one.code)] += 1
        if one.ballot is not None:
            by_outcome[one.outcome][one.poll, one.ballot].add(one.option)
        elif one.outcome == "unknown":
            nameless[one.poll] += 1
    return Told(by_outcome["ok"], by_outcome["unknown"], by_outcome["fail"], nameless, refused)


def longest_pause(operations: Iterable[Operation]) -> float:
    """Seconds between two acknowledged casts at the most."""
    ends = sorted(one.ended for one in operations if one.outcome == "ok")
    return max((after - before for before, after in itertools.pairwise(ends)), default=0.0)
