"""Step 4 of 7, task: reads the records of a batch, and tells casts that can be counted from records that cannot.

In columns, a slice at a time: what is done for each vote alone costs most here. Only a slice with a record in it that
is no vote is read record by record.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from polling.core import positions
from polling.core.polls import MAX_OPTIONS
from polling.core.votes import Slice, VoteRecord, read_vote, read_votes
from polling.store import arrays
from polling.store.counting import Casts, Shape

UNREADABLE = "unreadable"
UNKNOWN_POLL = "unknown_poll"
UNKNOWN_OPTION = "unknown_option"
REFUSED = "refused_by_postgresql"

_OPTIONS = {str(number): (number, arrays.int2(number)) for number in range(1, MAX_OPTIONS + 1)}

_Lead = tuple[str, str]
"""(poll, option), as votes name them."""


class DeadRecord(NamedTuple):
    """A record that can never be counted, and why."""

    reason: str
    generation: int
    partition: int
    offset: int
    value: bytes


class Readable(NamedTuple):
    """The records of a slice that are votes, wherever they may lead, in order: the votes, their ballots in 16 bytes
    each, and the places of the records in the slice."""

    part: Slice
    votes: Sequence[VoteRecord]
    ballots: Sequence[bytes]
    places: Sequence[int]

    def dead(self, index: int, reason: str) -> DeadRecord:
        """One of these records as one that cannot be counted."""
        return _dead(self.part, self.places[index], reason)

    def at(self, indexes: Sequence[int]) -> Readable:
        """Some of them."""
        votes, ballots, places = self.votes, self.ballots, self.places
        return Readable(
            self.part,
            [votes[index] for index in indexes],
            [ballots[index] for index in indexes],
            [places[index] for index in indexes],
        )

    def accepted(self) -> list[float]:
        """When each was accepted, or else logged, in milliseconds since 1970."""
        times = self.part.times
        return [vote.at or times[place] for vote, place in zip(self.votes, self.places, strict=True)]


@dataclasses.dataclass
class Staged:
    """Votes that are ready to be counted: as casts, by the ids of their polls, and as they were read."""

    casts: Casts = dataclasses.field(default_factory=Casts)
    polls: set[str] = dataclasses.field(default_factory=set)
    readable: list[Readable] = dataclasses.field(default_factory=list)

    def refused(self, index: int) -> DeadRecord:
        """The record of the cast at this index, as one that PostgreSQL does not take."""
        for readable in self.readable:
            if index < len(readable.votes):
                return readable.dead(index, REFUSED)
            index -= len(readable.votes)
        raise IndexError(index)


def read(slices: list[Slice]) -> tuple[list[Readable], list[DeadRecord]]:
    """The votes among the records of a batch, in order, and the records that are none."""
    readable: list[Readable] = []
    dead: list[DeadRecord] = []
    for part in slices:
        found = read_votes(part.values)
        if found is not None:
            readable.append(Readable(part, *found, range(len(part.values))))
            continue
        singly = list(map(read_vote, part.values))
        votes = [(*one, place) for place, one in enumerate(singly) if one is not None]
        if votes:
            readable.append(Readable(part, *zip(*votes, strict=True)))
        dead += [_dead(part, place, UNREADABLE) for place, one in enumerate(singly) if one is None]
    return readable, dead


def stage(votes: list[Readable], shapes: Mapping[str, Shape]) -> tuple[Staged, list[DeadRecord]]:
    """Packs the votes for the counting statement. Answers as well the records that lead nowhere.

    `shapes` has every poll of the batch that ever was.
    """
    staged, dead = Staged(), []
    numbers = {poll_id: arrays.int8(shape.number) for poll_id, shape in shapes.items()}
    wrong: dict[_Lead, str] = {}
    good: set[_Lead] = set()
    for readable in votes:
        leads = [(vote.poll, vote.option) for vote in readable.votes]
        for lead in set(leads).difference(good):
            reason = _astray(lead, shapes)
            if reason is None:
                good.add(lead)
            else:
                wrong[lead] = reason
        if wrong and not wrong.keys().isdisjoint(leads):
            dead += [readable.dead(index, wrong[lead]) for index, lead in enumerate(leads) if lead in wrong]
            right = [index for index, lead in enumerate(leads) if lead not in wrong]
            readable, leads = readable.at(right), [leads[index] for index in right]
        _pack(staged.casts, readable, leads, numbers)
        staged.readable.append(readable)
    staged.polls = {poll for poll, _ in good}
    return staged, dead


def _astray(lead: _Lead, shapes: Mapping[str, Shape]) -> str | None:
    """Why a vote can lead nowhere, if it cannot."""
    poll, option = shapes.get(lead[0]), _OPTIONS.get(lead[1])
    if poll is None:
        return UNKNOWN_POLL
    return UNKNOWN_OPTION if option is None or option[0] > poll.options else None


def _pack(casts: Casts, readable: Readable, leads: list[_Lead], numbers: Mapping[str, bytes]) -> None:
    part, int8 = readable.part, arrays.int8
    base = positions.base(part.generation, part.partition)
    times = {time: arrays.timestamptz(time) for time in set(part.times)}
    casts.polls += [numbers[poll] for poll, _ in leads]
    casts.options += [_OPTIONS[option][1] for _, option in leads]
    casts.ballots += map(arrays.uuid, readable.ballots)
    casts.positions += [int8(base | part.offsets[place]) for place in readable.places]
    casts.times += [times[part.times[place]] for place in readable.places]


def _dead(part: Slice, place: int, reason: str) -> DeadRecord:
    return DeadRecord(reason, part.generation, part.partition, part.offsets[place], part.values[place])
