"""Which offset is safe to commit: properties of the tracker, against the plain definition."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tasks.kafka_transport.offsets import OffsetTracker

offsets = st.lists(st.integers(0, 1000), unique=True, min_size=1, max_size=60).map(sorted)


@given(offsets, st.data())
def test_never_commits_past_an_unfinished_record(delivered: list[int], data: st.DataObject) -> None:
    order = data.draw(st.permutations(delivered))
    finished = order[: data.draw(st.integers(0, len(order)))]
    tracker = OffsetTracker()
    for offset in delivered:
        tracker.add(offset)
    committed = -1
    for number, offset in enumerate(finished):
        answer = tracker.ack(offset)
        done = set(finished[: number + 1])
        prefix = []
        for candidate in delivered:
            if candidate not in done:
                break
            prefix.append(candidate)
        expected = prefix[-1] + 1 if prefix else -1
        assert answer == (expected if expected > committed else None)
        committed = max(committed, expected)
    assert len(tracker) == len([offset for offset in delivered if offset >= committed])


@given(offsets)
def test_all_finished_commits_one_past_the_last(delivered: list[int]) -> None:
    tracker = OffsetTracker()
    for offset in delivered:
        tracker.add(offset)
    answers = [tracker.ack(offset) for offset in reversed(delivered)]
    assert answers[:-1] == [None] * (len(delivered) - 1)
    assert answers[-1] == delivered[-1] + 1
    assert len(tracker) == 0


def test_what_is_not_tracked_changes_nothing() -> None:
    tracker = OffsetTracker()
    assert tracker.ack(5) is None
    tracker.add(5)
    tracker.add(6)
    tracker.add(5)
    assert tracker.ack(5) == 6
    assert tracker.ack(5) is None
    assert tracker.ack(6) == 7


def test_a_log_that_was_set_back_is_tracked_anew() -> None:
    tracker = OffsetTracker()
    for offset in (10, 11, 3, 4):
        tracker.add(offset)
    assert tracker.ack(10) is None, "of the old log"
    assert tracker.ack(4) is None
    assert tracker.ack(3) == 5
