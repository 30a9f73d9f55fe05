"""Step 4 of 7, task: reads the records of a batch, and tells casts that can be counted from records that cannot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from polling.core import positions
from polling.core.polls import MAX_OPTIONS
from polling.core.votes import Slice, VoteRecord, read_vote
from polling.store import arrays
from polling.store.counting import Casts, Shape

UNREADABLE = "unreadable"
UNKNOWN_POLL = "unknown_poll"
UNKNOWN_OPTION = "unknown_option"
REFUSED = "refused_by_postgresql"

_OPTIONS = {str(number): (number, arrays.int2(number)) for number in range(1, MAX_OPTIONS + 1)}


class DeadRecord(NamedTuple):
    """A record that can never be counted, and why."""

    reason: str
    generation: int
    partition: int
    offset: int
    value: bytes


class Readable(NamedTuple):
    """A record that is a vote, wherever it may lead."""

    vote: VoteRecord
    ballot: bytes
    generation: int
    partition: int
    offset: int
    time: int
    value: bytes


def read(slices: list[Slice]) -> tuple[list[Readable], list[DeadRecord]]:
    """The votes among the records of a batch, in order, and the records that are none."""
    votes: list[Readable] = []
    dead: list[DeadRecord] = []
    new = tuple.__new__  # half the cost of a named tuple's own way, once a vote
    for part in slices:
        generation, partition = part.generation, part.partition
        for offset, time, value in zip(part.offsets, part.times, part.values, strict=True):
            found = read_vote(value)
            if found is not None:
                votes.append(new(Readable, (*found, generation, partition, offset, time, value)))
            else:
                dead.append(DeadRecord(UNREADABLE, generation, partition, offset, value))
    return votes, dead


def stage(votes: list[Readable], shapes: Mapping[str, Shape]) -> tuple[Casts, list[Readable], list[DeadRecord]]:
    """Packs the votes for the counting statement; answers them beside the votes that they were made from.

    `shapes` has every poll of the batch that ever was.
    """
    casts, staged, dead = Casts(), [], []
    packed = {poll_id: (shape.options, arrays.int8(shape.number)) for poll_id, shape in shapes.items()}
    int8, timestamptz = arrays.int8, arrays.timestamptz
    place, base = (-1, -1), 0
    for readable in votes:
        vote, ballot, generation, partition, offset, time, value = readable
        poll = packed.get(vote.poll)
        option = _OPTIONS.get(vote.option)
        if poll is None or option is None or option[0] > poll[0]:
            reason = UNKNOWN_POLL if poll is None else UNKNOWN_OPTION
            dead.append(DeadRecord(reason, generation, partition, offset, value))
            continue
        if place != (generation, partition):
            place, base = (generation, partition), positions.base(generation, partition)
        casts.polls.append(poll[1])
        casts.ballots.append(arrays.uuid(ballot))
        casts.options.append(option[1])
        casts.positions.append(int8(base | offset))
        casts.times.append(timestamptz(time))
        staged.append(readable)
    return casts, staged, dead
