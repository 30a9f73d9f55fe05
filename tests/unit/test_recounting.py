"""The unit tests: the rules of counting once more, as the recount from the log has them, against the model."""

from __future__ import annotations

import json
import random
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polling.core.recounting import LogRecount, PollRules
from polling.core.votes import Slice, read_vote, read_votes
from unit.counting_model import BEGAN, OPTIONS, Place, Policy, Record, expected, random_log

SIZES: dict[Place, int] = {(1, 0): 300, (1, 1): 250, (2, 0): 280}
ENDS: dict[Place, int] = {(1, 0): 150, (2, 0): 10_000}
POLICIES = [
    Policy(),
    Policy("voter", allow_change=True),
    Policy("browser", allow_change=False),
    Policy(closes_after=500),
    Policy("voter", allow_change=True, closes_after=500),
    Policy(closes_after=700, ends=ENDS),
    Policy("browser", allow_change=True, closes_after=700, ends=ENDS),
    Policy(gaps=((300, 500),)),
    Policy("voter", allow_change=True, closes_after=800, gaps=((100, 250), (400, 450))),
]
EPOCH = round(BEGAN.timestamp() * 1000)


def rules(policy: Policy) -> PollRules:
    closes_at = None if policy.closes_after is None else EPOCH + round(policy.closes_after * 1000)
    gaps = [(EPOCH + round(closed * 1000), EPOCH + round(opened * 1000)) for closed, opened in policy.gaps]
    return PollRules(OPTIONS, policy.last_wins, closes_at, policy.ends, gaps)


def part(place: Place, records: list[Record]) -> Slice:
    values = [
        json.dumps(
            {"poll": f"p{one.poll}", "ballot": one.ballot.to_bytes(16).hex(), "option": str(one.option)}
        ).encode()
        for one in records
    ]
    offsets = [one.offset for one in records]
    return Slice(
        *place, offsets[0], offsets[-1] + 1, offsets, [EPOCH + round(one.seconds * 1000) for one in records], values
    )


@pytest.mark.parametrize("seed", range(5))
def test_a_recount_of_the_log_is_what_counting_it_must_come_to(seed: int) -> None:
    """However the reading of the partitions is interleaved."""
    chance = random.Random(seed)
    log = random_log(chance, len(POLICIES), 40, SIZES, 1000)
    left = {place: [one for one in log if one.place == place] for place in SIZES}
    counting = LogRecount({f"p{number}": rules(policy) for number, policy in enumerate(POLICIES)})
    while any(left.values()):
        place = chance.choice([place for place, records in left.items() if records])
        taken = chance.randint(1, 60)
        counting.add(part(place, left[place][:taken]))
        del left[place][:taken]

    def ballot_of(one: Record) -> tuple[int, int]:
        return one.poll, one.ballot

    wanted = [[0] * OPTIONS for _ in POLICIES]
    for (poll, _), casts in groupby(sorted(log, key=ballot_of), key=ballot_of):
        option = expected(POLICIES[poll], casts).option
        if option is not None:
            wanted[poll][option - 1] += 1
    assert [counting.counts(f"p{number}") for number in range(len(POLICIES))] == wanted
    assert all(sum(counts) for counts in wanted)


def test_what_is_no_vote_keeps_no_vote_back() -> None:
    good = json.dumps({"poll": "p", "ballot": "0" * 32, "option": "1"}).encode()
    other = json.dumps({"poll": "p", "ballot": "A" * 32, "option": "2", "at": 1}).encode()
    bad = [b"", b"?", good.replace(b'"1"', b"1"), good.replace(b'"1"', b'"3"'), good.replace(b'"p"', b'"q"')]
    counting = LogRecount({"p": PollRules(2, False)})
    values = [good, *bad, other]
    counting.add(Slice(1, 0, 0, len(values), list(range(len(values))), [0] * len(values), values))
    assert counting.counts("p") == [1, 1]


VOTE = b'{"poll":"p","ballot":"' + b"0" * 32 + b'","option":"1"}'
HALVES = (b'{"poll":"p","more":', b'{"a":[{}]},"ballot":"' + b"0" * 32 + b'","option":"1"}')

pieces = st.sampled_from(
    [
        b'{"poll":"p","ballot":"' + b"0" * 32 + b'","option":"1","at":5}',
        b'{"poll":"p",\n"ballot":"' + b"F" * 32 + b'","option":"2"}',
        b'{"poll":"p","ballot":"' + b"a" * 30 + b'  ","option":"1"}',
        b'{"poll":"p","ballot":"' + b"a" * 32 + b'"',
        b',"option":"1"}',
        b'{"poll":"p","ballot":"' + b"a" * 31 + b'","option":"1"}',
        b"\n",
        b" ",
        b"",
        b"{}",
        *HALVES,
        b"\xff",
    ]
)


@given(st.lists(st.lists(pieces, max_size=3).map(b"".join), max_size=6))
def test_many_values_are_read_as_each_of_them_is(values: list[bytes]) -> None:
    """Also where broken ones would make whole ones together, or one stands for two."""
    found = read_votes(values)
    if found is not None:
        assert list(zip(*found, strict=True)) == [read_vote(value) for value in values]
    elif all(value[:1] + value[-1:] == b"{}" and b"\n" not in value for value in values):
        assert not values or None in [read_vote(value) for value in values]


@pytest.mark.parametrize("others", [(b"",), (b" ",), (b"\t",), (b"\n",), HALVES])
def test_a_value_that_is_two_votes_does_not_make_up_for_what_is_none(others: tuple[bytes, ...]) -> None:
    assert read_vote(b"".join(others)) is not None or others != HALVES, "in one value they are a vote"
    assert read_votes([VOTE, VOTE]) is not None
    assert read_votes([*others, VOTE + VOTE]) is None
    assert read_votes([VOTE + VOTE, *others]) is None
