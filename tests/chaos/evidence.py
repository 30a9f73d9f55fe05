"""Chaos: what is found when all is over: the log, the rows, the tallies, Redis, and what sockets were shown."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import NamedTuple

from chaos.history import Pair


class Cast(NamedTuple):
    """One record of the log. `time` is the log's own, in microseconds since 1970."""

    position: int
    option: int
    time: int


class Facts(NamedTuple):
    """A poll. `closes_at` in microseconds since 1970; `ends` are packed positions, one a partition."""

    id: str
    number: int
    options: int
    one_vote_per: str | None
    allow_change: bool
    closes_at: int | None
    ends: tuple[int, ...] | None
    deleted: bool
    final: bool
    listed: bool

    @property
    def last_wins(self) -> bool:
        return self.one_vote_per is not None and self.allow_change


class Stored(NamedTuple):
    """A ballot's row."""

    option: int
    rank: int


class Tally(NamedTuple):
    """How a poll stands, in the database or as somebody was shown."""

    counts: tuple[int, ...]
    total: int
    revision: int


@dataclasses.dataclass
class Evidence:
    """`rows` has one row a ballot; `row_numbers` has how many there really are, where they are several. `rejected` is
    as stored, by (option, reason). `poison` are the records that were written to be found in `votes.dead`."""

    polls: dict[str, Facts] = dataclasses.field(default_factory=dict)
    log: dict[Pair, list[Cast]] = dataclasses.field(default_factory=dict)
    rows: dict[Pair, Stored] = dataclasses.field(default_factory=dict)
    row_numbers: dict[Pair, int] = dataclasses.field(default_factory=dict)
    rejected: dict[Pair, set[tuple[int, str]]] = dataclasses.field(default_factory=dict)
    tallies: dict[str, Tally] = dataclasses.field(default_factory=dict)
    uncounted: int = 0
    poison: Counter[bytes] = dataclasses.field(default_factory=Counter)
    dead: Counter[bytes] = dataclasses.field(default_factory=Counter)
    finals: dict[str, Tally] = dataclasses.field(default_factory=dict)
    shown: dict[str, Tally] = dataclasses.field(default_factory=dict)
    went_back: list[str] = dataclasses.field(default_factory=list)
    leaderboard: list[tuple[str, int, int]] | None = None
    hung: list[str] = dataclasses.field(default_factory=list)
