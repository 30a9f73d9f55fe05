"""Step 5 of 7, store: what a log comes to, from its records alone: the rules of counting once more, without a database.

The records of a partition come in their order, partitions in any. So of a ballot's cast no position needs to be kept,
but the partition alone: within one the first or the last is the first or the last that is seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from polling.core.polls import MAX_OPTIONS
from polling.core.positions import PARTITION_BITS
from polling.core.votes import Slice, VoteRecord, read_vote, read_votes

Place = tuple[int, int]
"""(generation, partition)."""

_OPTION_BITS = 7
_OPTION = (1 << _OPTION_BITS) - 1
_NEVER = 1 << 62


class PollRules(NamedTuple):
    """What decides which casts count. `closes_at` in milliseconds since 1970; `ends` are the offsets from which records
    never count, where a partition that is not named ended at 0. `gaps` are the times in which the poll was closed until
    it was opened again: from after the first to the second."""

    options: int
    last_wins: bool
    closes_at: int | None = None
    ends: Mapping[Place, int] | None = None
    gaps: Sequence[tuple[int, int]] = ()


class _Counting:
    """A poll under way: its rules, and of each ballot the place and the option of the cast that counts so far."""

    __slots__ = ("ballots", "closes_at", "ends", "gaps", "last_wins", "options")

    def __init__(self, rules: PollRules) -> None:
        self.options = rules.options
        self.last_wins = rules.last_wins
        self.closes_at = _NEVER if rules.closes_at is None else rules.closes_at
        self.ends = rules.ends
        self.gaps = rules.gaps
        self.ballots: dict[bytes, int] = {}


class LogRecount:
    """Counts these polls' votes in a log. Takes some 120 bytes of memory for each of their ballots."""

    def __init__(self, polls: Mapping[str, PollRules]) -> None:
        self._polls = {poll_id: _Counting(rules) for poll_id, rules in polls.items()}
        self._casts: dict[Place, dict[str, int]] = {}

    def add(self, part: Slice) -> None:
        """The next records of a partition."""
        place = (part.generation, part.partition)
        found = read_votes(part.values)
        if found is not None:
            self._count(place, *found, part.offsets, part.times)
            return
        for offset, time, value in zip(part.offsets, part.times, part.values, strict=True):
            one = read_vote(value)
            if one is not None:
                self._count(place, [one[0]], [one[1]], [offset], [time])

    def counts(self, poll_id: str) -> list[int]:
        """The votes of each option, in their order."""
        poll = self._polls[poll_id]
        votes: Counter[int] = Counter()
        for cast, ballots in Counter(poll.ballots.values()).items():
            votes[cast & _OPTION] += ballots
        return [votes[option] for option in range(1, poll.options + 1)]

    def _count(
        self, place: Place, votes: list[VoteRecord], ballots: list[bytes], offsets: list[int], times: list[int]
    ) -> None:
        rank = (place[0] << PARTITION_BITS) | place[1]
        beyond = (rank + 1) << _OPTION_BITS  # which the casts at all greater places have reached, and none here
        polls, casts = self._polls, self._casts_at(place, rank)
        for vote, ballot, offset, time in zip(votes, ballots, offsets, times, strict=True):
            poll = polls.get(vote.poll)
            cast = casts.get(vote.option)
            if poll is None or cast is None or cast & _OPTION > poll.options or time > poll.closes_at:
                continue
            if poll.gaps and any(closed < time <= opened for closed, opened in poll.gaps):
                continue
            if poll.ends is not None and offset >= poll.ends.get(place, 0):
                continue
            before = poll.ballots.setdefault(ballot, cast)
            # Of two places the greater one wins, or the lesser; in one place the later cast, or the earlier.
            if (before < beyond) if poll.last_wins else (before >= beyond):
                poll.ballots[ballot] = cast

    def _casts_at(self, place: Place, rank: int) -> dict[str, int]:
        """A number for a cast of each option at this place: the same objects for all ballots, which saves memory."""
        if place not in self._casts:
            numbers = range(1, MAX_OPTIONS + 1)
            self._casts[place] = {str(option): (rank << _OPTION_BITS) | option for option in numbers}
        return self._casts[place]
