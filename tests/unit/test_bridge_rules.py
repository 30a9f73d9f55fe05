"""The unit tests: the bridge's pure rules: folding ranges, gathering batches, and the window of batches in flight."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge.flights import Window
from bridge.folding import Place, fold, is_covered, set_back
from bridge.gathering import Gatherer
from polling.core.votes import Covered, Slice

some_places: st.SearchStrategy[Place] = st.tuples(st.integers(1, 2), st.integers(0, 1))


@st.composite
def ranges(draw: st.DrawFn) -> Covered:
    first = draw(st.integers(0, 20))
    return Covered(*draw(some_places), first, first + draw(st.integers(0, 8)))


def brute(frontier: int, counted: set[int]) -> int:
    """The offset before which everything is counted, one offset after the other."""
    while frontier in counted:
        frontier += 1
    return frontier


@given(st.dictionaries(some_places, st.integers(0, 25)), st.lists(ranges()))
def test_a_frontier_moves_over_what_is_counted_without_a_gap(
    frontiers: dict[Place, int], covered: list[Covered]
) -> None:
    moved = fold(frontiers, covered)
    for place, frontier in frontiers.items():
        counted = {
            offset
            for one in covered
            if (one.generation, one.partition) == place
            for offset in range(one.first, one.next)
        }
        assert moved.get(place, frontier) == brute(frontier, counted)
    assert set(moved) <= set(frontiers), "a partition that is not read has no frontier to move"
    assert all(moved[place] > frontiers[place] for place in moved)


@given(st.dictionaries(some_places, st.integers(0, 25)), st.lists(ranges()), st.randoms())
def test_the_order_of_ranges_is_of_no_matter(
    frontiers: dict[Place, int], covered: list[Covered], chance: object
) -> None:
    moved = fold(frontiers, covered)
    chance.shuffle(covered)  # type: ignore[attr-defined]
    assert fold(frontiers, covered) == moved
    assert fold(frontiers | moved, covered) == {}


@given(ranges(), st.dictionaries(some_places, st.integers(0, 25)), st.lists(ranges()))
def test_a_batch_is_done_where_every_offset_of_it_is_counted(
    wanted: Covered, frontiers: dict[Place, int], covered: list[Covered]
) -> None:
    place = (wanted.generation, wanted.partition)
    counted = set(range(frontiers.get(place, 0)))
    for one in covered:
        if (one.generation, one.partition) == place:
            counted |= set(range(one.first, one.next))
    assert is_covered(wanted, frontiers, covered) is (set(range(wanted.first, wanted.next)) <= counted)


@given(st.dictionaries(some_places, st.integers(0, 25)), st.lists(ranges()), st.lists(ranges()), some_places)
def test_what_was_handed_out_is_counted_or_under_way_or_else_postgresql_was_set_back(
    frontiers: dict[Place, int], covered: list[Covered], flying: list[Covered], place: Place
) -> None:
    known = {
        offset
        for one in covered + flying
        if (one.generation, one.partition) == place
        for offset in range(one.first, one.next)
    }
    for before in range(26):
        missing = set(range(frontiers.get(place, 26), before)) - known
        assert set_back({place: before}, frontiers, covered, flying) == ([place] if missing else [])


Record = tuple[Place, int, bytes]


@st.composite
def records(draw: st.DrawFn) -> list[Record]:
    """Records of several partitions as a consumer brings them: offsets grow and have gaps."""
    offsets = {(1, 0): 5, (1, 1): 0, (2, 0): 9}
    brought = []
    for place, gap, size in draw(
        st.lists(st.tuples(st.sampled_from(sorted(offsets)), st.integers(0, 3), st.integers(0, 60)), max_size=30)
    ):
        offsets[place] += gap
        brought.append((place, offsets[place], b"x" * size))
        offsets[place] += 1
    return brought


@given(records(), st.integers(1, 7), st.integers(1, 200))
def test_batches_hold_every_record_once_and_leave_no_gap(brought: list[Record], most: int, size: int) -> None:
    gatherer = Gatherer()
    starts = {(1, 0): 5, (1, 1): 0, (2, 0): 9}
    for place, start in starts.items():
        gatherer.assign(place, start)
    for place, offset, value in brought:
        gatherer.add(place, [offset], [1000 + offset], [value])
    assert gatherer.records == len(brought)
    seen: list[Record] = []
    reached = dict(starts)
    while gatherer.waiting:
        batch = gatherer.take(most, size)
        assert batch, "what waits is taken"
        held = [value for part in batch for value in part.values]
        assert len(held) <= most
        assert sum(len(value) + 24 for value in held) <= size or len(held) == 1
        assert len({(part.generation, part.partition) for part in batch}) == len(batch)
        for part in batch:
            place = (part.generation, part.partition)
            assert part.first == reached[place], "a range begins where the one before it ended"
            assert all(part.first <= offset < part.next for offset in part.offsets)
            assert part.times == [1000 + offset for offset in part.offsets]
            reached[place] = part.next
            seen += [(place, offset, value) for offset, value in zip(part.offsets, part.values, strict=True)]
    assert sorted(seen) == sorted(brought)
    assert (gatherer.records, gatherer.bytes) == (0, 0)


def test_a_record_greater_than_a_batch_goes_alone() -> None:
    gatherer = Gatherer()
    gatherer.assign((1, 0), 0)
    gatherer.add((1, 0), [0], [1], [b"x" * 1000])
    gatherer.add((1, 0), [1], [1], [b"y"])
    assert [part.values for part in gatherer.take(10, 100)] == [[b"x" * 1000]]
    assert [part.values for part in gatherer.take(10, 100)] == [[b"y"]]


def test_a_position_without_records_is_a_range_too() -> None:
    gatherer = Gatherer()
    gatherer.assign((1, 0), 3)
    assert not gatherer.waiting
    gatherer.reach((1, 0), 8)
    assert gatherer.take(10, 1000) == [Slice(1, 0, 3, 8, [], [], [])]
    gatherer.reach((1, 0), 5)
    gatherer.reach((1, 7), 5)
    assert not gatherer.waiting, "never backwards, and never of a partition that is somebody else's"


def test_what_comes_twice_or_uninvited_is_passed_over() -> None:
    gatherer = Gatherer()
    gatherer.assign((1, 0), 3)
    for offset in (2, 3, 3, 4):
        gatherer.add((1, 0), [offset], [1], [b"%d" % offset])
    gatherer.add((9, 9), [0], [1], [b"?"])
    assert [part.values for part in gatherer.take(10, 1000)] == [[b"3", b"4"]]
    gatherer.add((1, 0), [3, 4, 6, 7], [1] * 4, [b"3", b"4", b"6", b"7"])
    gatherer.add((1, 0), [6, 7], [1] * 2, [b"6", b"7"])
    assert gatherer.records == 2
    assert gatherer.take(10, 1000) == [Slice(1, 0, 5, 8, [6, 7], [1, 1], [b"6", b"7"])]


def test_a_revoked_partition_is_forgotten() -> None:
    gatherer = Gatherer()
    gatherer.assign((1, 0), 0)
    gatherer.assign((1, 1), 0)
    gatherer.add((1, 0), [0], [1], [b"a"])
    gatherer.add((1, 1), [0], [1], [b"b"])
    gatherer.revoke((1, 0))
    assert gatherer.records == 1
    assert [part.values for part in gatherer.take(10, 1000)] == [[b"b"]]
    gatherer.assign((1, 0), 0)
    gatherer.add((1, 0), [0], [1], [b"a"])
    gatherer.assign((1, 0), 0)
    assert not gatherer.waiting, "assigned again, it is read again from the frontier"
    assert (gatherer.records, gatherer.bytes) == (0, 0)


def test_a_batch_is_due_again_after_a_patience_that_doubles() -> None:
    window = Window(deadline=10)
    flight = window.add([Covered(1, 0, 0, 5)], b"m", 5, now=100)
    assert window.due(100) == [flight]
    waits = []
    now = 100.0
    for _ in range(5):
        window.sent(flight, now)
        assert window.due(flight.due - 0.01) == []
        assert window.due(flight.due) == [flight]
        waits.append(flight.due - now)
        now = flight.due
    assert waits == [10, 20, 40, 60, 60]
    assert flight.attempts == 5


def test_a_batch_that_could_not_be_sent_is_due_soon() -> None:
    window = Window(deadline=10)
    flight = window.add([Covered(1, 0, 0, 5)], b"m", 5, now=100)
    window.delay(flight, 100, 1)
    assert window.due(100.5) == []
    assert window.due(101) == [flight]
    assert flight.attempts == 0
    window.sent(flight, 101)
    assert flight.due == 111


def test_a_batch_lands_when_all_its_ranges_are_covered() -> None:
    window = Window(deadline=10)
    window.add([Covered(1, 0, 0, 5), Covered(1, 1, 0, 2)], b"m", 7, now=0)
    window.add([Covered(1, 0, 5, 6)], b"n", 1, now=0)
    assert (len(window), window.records) == (2, 8)
    done = [Covered(1, 0, 0, 5), Covered(1, 0, 5, 6)]
    assert window.land(done.__contains__) == 1
    assert (len(window), window.records) == (1, 7)
    done.append(Covered(1, 1, 0, 2))
    assert window.land(done.__contains__) == 1
    assert len(window) == 0
