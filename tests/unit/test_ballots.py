"""The unit tests: ballots and vote ids, and the numbers by which positions in the log are compared."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polling.core import ballots, positions

keys = st.binary(min_size=32, max_size=32)
sixteen = st.binary(min_size=16, max_size=16)
places = st.tuples(
    st.integers(1, positions.MAX_GENERATION),
    st.integers(0, positions.MAX_PARTITION),
    st.integers(0, positions.MAX_OFFSET),
)


@given(keys, sixteen)
def test_a_vote_id_leads_back_to_its_ballot(key: bytes, ballot: bytes) -> None:
    name = ballots.vote_id(key, ballot)
    assert len(name) == 32
    assert base64.urlsafe_b64decode(name)[:16] == ballot
    assert ballots.from_vote_id(key, name) == ballot


@given(keys, sixteen, st.integers(0, 191))
def test_an_id_with_one_wrong_bit_was_never_made(key: bytes, ballot: bytes, bit: int) -> None:
    raw = bytearray(base64.urlsafe_b64decode(ballots.vote_id(key, ballot)))
    raw[bit // 8] ^= 1 << bit % 8
    assert ballots.from_vote_id(key, base64.urlsafe_b64encode(raw).decode()) is None


@given(keys, keys, sixteen)
def test_another_polls_id_was_never_made_here(key: bytes, other: bytes, ballot: bytes) -> None:
    if key != other:
        assert ballots.from_vote_id(other, ballots.vote_id(key, ballot)) is None


@given(keys, st.text(max_size=40))
def test_no_text_of_chance_is_a_vote_id(key: bytes, text: str) -> None:
    assert ballots.from_vote_id(key, text) is None


def test_an_id_has_one_spelling() -> None:
    key, ballot = b"k" * 32, b"\xff" * 16
    name = ballots.vote_id(key, ballot)
    assert "_" in name
    for other in (name.replace("_", "/"), name + "=", name + "\n", " " + name, name + "AAAA"):
        assert ballots.from_vote_id(key, other) is None


@given(keys, st.text(min_size=1), st.text(min_size=1))
def test_the_same_key_is_the_same_ballot(key: bytes, one: str, other: str) -> None:
    assert ballots.of_key(key, one) == ballots.of_key(key, one)
    assert (ballots.of_key(key, one) == ballots.of_key(key, other)) is (one == other)
    assert len(ballots.of_voter(key, one)) == 16
    assert ballots.of_voter(key, one) != ballots.of_key(key, one), "a voter's name is never somebody's key"


def test_fresh_ballots_differ_and_follow_the_clock() -> None:
    made = [ballots.fresh() for _ in range(1000)]
    assert len(set(made)) == 1000
    assert [one[:6] for one in made] == sorted(one[:6] for one in made)
    assert {len(one) for one in made} == {16}


@given(places, places)
def test_positions_compare_by_generation_partition_offset(
    one: tuple[int, int, int], other: tuple[int, int, int]
) -> None:
    packed, others = positions.pack(*one), positions.pack(*other)
    assert positions.unpack(packed) == one
    assert (packed < others) is (one < other)
    assert 0 < packed < 2**63


@given(places, places)
def test_the_greater_rank_counts(one: tuple[int, int, int], other: tuple[int, int, int]) -> None:
    first, second = sorted((positions.pack(*one), positions.pack(*other)))
    assert max((first, second), key=lambda position: positions.rank(position, last_wins=True)) == second
    assert max((first, second), key=lambda position: positions.rank(position, last_wins=False)) == first


@pytest.mark.parametrize(
    "place",
    [(0, 0, 0), (128, 0, 0), (1, -1, 0), (1, 1 << 14, 0), (1, 0, -1), (1, 0, 1 << 42)],
)
def test_what_is_no_position(place: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="no log position"):
        positions.pack(*place)
