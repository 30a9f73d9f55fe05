"""Unit tests: plain votes' ballots: led to one partition at a time, unique, and ordered by time."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.log import partition_of

from polling.vote_log.steering import HELD, MOST, Steering


@given(st.integers(1, 100), st.integers(1, 50))
def test_all_ballots_of_a_turn_go_to_one_partition(partitions: int, votes: int) -> None:
    steering = Steering(partitions, clock=lambda: 0.0)
    made = [steering.fresh() for _ in range(votes)]
    assert len({partition_of(ballot, partitions) for ballot in made}) == 1
    assert len(set(made)) == votes
    assert {len(ballot) for ballot in made} == {16}


def test_every_partition_gets_its_turn_by_time() -> None:
    times = itertools.count(0, HELD)
    steering = Steering(8, clock=lambda: next(times))
    assert sorted(partition_of(steering.fresh(), 8) for _ in range(8)) == list(range(8))


def test_a_burst_spreads_too() -> None:
    steering = Steering(4, clock=lambda: 0.0)
    made = [steering.fresh() for _ in range(4 * MOST)]
    assert len(set(made)) == len(made)
    found = [partition_of(ballot, 4) for ballot in made]
    assert sorted({found[at] for at in range(0, len(made), MOST)}) == [0, 1, 2, 3]
    assert all(found.count(partition) == MOST for partition in range(4))


def test_they_follow_the_clock_and_two_processes_never_meet() -> None:
    times = itertools.count(0, HELD)
    one, other = (Steering(8, clock=lambda: next(times)) for _ in range(2))
    made = [steering.fresh() for _ in range(500) for steering in (one, other)]
    assert len({ballot[:12] for ballot in made}) == 1000
    assert [ballot[:6] for ballot in made] == sorted(ballot[:6] for ballot in made)


def test_at_the_end_of_the_numbers_it_begins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    steering = Steering(3, clock=lambda: 0.0)
    partition = partition_of(steering.fresh(), 3)
    monkeypatch.setattr(steering, "_next", 2**31 - 3 + (partition - (2**31 - 3)) % 3)
    made = [steering.fresh() for _ in range(3)]
    assert len(set(made)) == 3
    assert {partition_of(ballot, 3) for ballot in made} == {partition}
