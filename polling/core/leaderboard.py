"""Step 6 of 7, tell: what a leaderboard is: the options with the most votes over all open, listed polls."""

from __future__ import annotations

from datetime import datetime

import msgspec

MAX_ENTRIES = 100


class Option(msgspec.Struct, frozen=True):
    """An option as every answer shows it."""

    id: str
    text: str


class Entry(msgspec.Struct, frozen=True):
    """One option in the ranking. Ranks run 1…n; `share` is its part of its poll's votes, from 0 to 1."""

    rank: int
    poll_id: str
    question: str
    option: Option
    votes: int
    share: float


class Leaderboard(msgspec.Struct, frozen=True):
    """The ranking as it stood at a moment. Options without votes are left out; ties go to the older poll."""

    updated_at: datetime
    entries: tuple[Entry, ...]

    def top(self, limit: int) -> Leaderboard:
        """The first `limit` entries of it."""
        return Leaderboard(self.updated_at, self.entries[:limit])
