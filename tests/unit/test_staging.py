"""The unit tests: which records of the log are votes, which never can be, and the form in which batches travel."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polling.core import positions
from polling.core.votes import Slice
from polling.store import arrays
from polling.store.counting import Shape
from tasks import messages, staging

SHAPES = {"p1": Shape(11, 2), "p2": Shape(12, 100)}


def record(**fields: Any) -> bytes:
    return json.dumps({"poll": "p1", "ballot": "0" * 32, "option": "1", "at": 1} | fields).encode()


def slice_of(*values: bytes, partition: int = 3) -> Slice:
    return Slice(1, partition, 5, 5 + len(values), list(range(5, 5 + len(values))), [77] * len(values), list(values))


@pytest.mark.parametrize(
    "value",
    [
        record(),
        record(at=None),
        record(at=1.5),
        record(ballot="AbCdEf" + "0" * 26),
        record(more={"a": [1]}),
        json.dumps({"poll": "p1", "ballot": "0" * 32, "option": "1"}).encode(),
        b" \n" + record() + b" ",
    ],
)
def test_what_is_a_vote(value: bytes) -> None:
    votes, dead = staging.read([slice_of(value)])
    assert dead == []
    staged, misdirected = staging.stage(votes, SHAPES)
    assert (len(staged.casts), staged.polls, misdirected) == (1, {"p1"}, [])
    assert staged.refused(0) == staging.DeadRecord("refused_by_postgresql", 1, 3, 5, value)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        record(poll=5),
        record(poll=None),
        record(option=1),
        record(ballot="0" * 31),
        record(ballot="0" * 33),
        record(ballot="0" * 16 + " " * 16),
        record(ballot="x" * 32),
        record(ballot="\u0660" * 32),
        record(at="now"),
        b'{"poll": "p1", "ballot": "' + b"0" * 32 + b'"}',
    ],
)
def test_what_cannot_be_read(value: bytes) -> None:
    votes, dead = staging.read([slice_of(record(), value)])
    assert [len(readable.votes) for readable in votes] == [1]
    assert dead == [staging.DeadRecord("unreadable", 1, 3, 6, value)]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (record(poll="nobody"), "unknown_poll"),
        (record(option="3"), "unknown_option"),
        (record(option="0"), "unknown_option"),
        (record(option="01"), "unknown_option"),
        (record(option="a"), "unknown_option"),
        (record(poll="p2", option="101"), "unknown_option"),
    ],
)
def test_what_leads_nowhere(value: bytes, reason: str) -> None:
    votes, dead = staging.read([slice_of(value, record(poll="p2", option="100"))])
    assert dead == []
    staged, misdirected = staging.stage(votes, SHAPES)
    assert misdirected == [staging.DeadRecord(reason, 1, 3, 5, value)]
    assert (len(staged.casts), staged.polls) == (1, {"p2"})
    assert staged.casts.positions == [arrays.int8(positions.base(1, 3) | 6)]
    assert staged.refused(0).offset == 6


@given(
    st.binary()
    | st.text().map(str.encode)
    | st.recursive(st.none() | st.text() | st.floats(), st.lists).map(json.dumps).map(str.encode)
)
def test_nothing_that_comes_breaks_a_batch(value: bytes) -> None:
    votes, dead = staging.read([slice_of(value)])
    assert sum(len(readable.votes) for readable in votes) + len(dead) == 1


def test_parts_of_casts_stay_side_by_side() -> None:
    votes, _ = staging.read([slice_of(*(record(ballot=f"{n:032x}", option=str(1 + n % 2)) for n in range(6)))])
    casts = staging.stage(votes, SHAPES)[0].casts
    part = casts.part(2, 5)
    assert len(part) == 3
    assert (part.ballots, part.options, part.positions) == (
        casts.ballots[2:5],
        casts.options[2:5],
        casts.positions[2:5],
    )


def test_what_is_left_of_several_slices_stays_in_order() -> None:
    """Records that are no vote, or lead nowhere, are left out of the middle; the others keep their own offsets."""
    first = slice_of(record(option="1"), b"?", record(option="2"))
    second = slice_of(record(poll="p2", option="3"), record(poll="nobody"), record(option="1"), partition=4)
    votes, dead = staging.read([first, second])
    staged, misdirected = staging.stage(votes, SHAPES)
    assert [(one.partition, one.offset) for one in (*dead, *misdirected)] == [(3, 6), (4, 6)]
    places = [(3, 5), (3, 7), (4, 5), (4, 7)]
    assert staged.casts.positions == [arrays.int8(positions.base(1, p) | offset) for p, offset in places]
    assert staged.casts.options == [arrays.int2(option) for option in (1, 2, 3, 1)]
    assert [staged.refused(index)[2:4] for index in range(4)] == places
    assert staged.polls == {"p1", "p2"}
    with pytest.raises(IndexError):
        staged.refused(4)


slices = st.builds(
    lambda first, values: Slice(
        1, 0, first, first + len(values), list(range(first, first + len(values))), [5] * len(values), values
    ),
    st.integers(0, 2**40),
    st.lists(st.binary(max_size=40), max_size=20),
)


@given(st.lists(slices, max_size=4))
def test_a_batch_travels_whole(batch: list[Slice]) -> None:
    assert messages.decode_batch(messages.encode_batch(batch)) == batch


@pytest.mark.parametrize("value", [b"", b"?", b"\0\0\0", b"\x81\xa1\xc0"])
def test_what_is_no_batch_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        messages.decode_batch(value)


def test_the_largest_batch_fits_a_kafka_message() -> None:
    """800,000 bytes of records, the overhead of each counted as the bridge counts it, stay below 1 MB as a task."""
    value = b"x" * 126
    count = messages.MAX_BATCH_BYTES // (len(value) + 24)
    batch = messages.encode_batch(
        [Slice(1, 0, 2**41, 2**41 + count, [2**41] * count, [2**41] * count, [value] * count)]
    )
    assert len(batch) < 950_000
    tiny = messages.MAX_BATCH_BYTES // 25
    batch = messages.encode_batch([Slice(1, 0, 2**41, 2**41 + tiny, [2**41] * tiny, [2**41] * tiny, [b"x"] * tiny)])
    assert len(batch) < 950_000
