"""Chaos: each check finds its harm, and nothing in a history that went well."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable

import pytest

from chaos.checks import CHECKS, violations
from chaos.evidence import Cast, Evidence, Facts, Stored, Tally
from chaos.history import Operation, Outcome, longest_pause, told
from chaos.model import outcome

POLL = "poll"
FIRST, LAST = "first", "last"
A, B, C, D = (bytes([number]) * 16 for number in range(4))
BASE = 1 << 56


def operation(poll: str, ballot: bytes | None, option: int, how: Outcome, code: str | None = None) -> Operation:
    return Operation("keyed", poll, ballot, option, how, code, 0.0, 1.0)


def history() -> list[Operation]:
    """A is accepted twice, B is unknown and counts, a plain vote is unknown and counts, D was refused."""
    return [
        operation(POLL, A, 1, "unknown", "no_answer"),
        operation(POLL, A, 1, "ok"),
        operation(POLL, B, 2, "unknown", "log_unavailable"),
        operation(POLL, None, 2, "unknown", "no_answer"),
        operation(POLL, D, 2, "fail", "idempotency_key_reused"),
        operation(LAST, A, 1, "ok"),
        operation(LAST, A, 2, "ok"),
        operation(FIRST, A, 1, "ok"),
        operation(FIRST, A, 2, "ok"),
    ]


def facts(poll: str, number: int, per: str | None = None, change: bool = True, closes_at: int | None = None) -> Facts:
    return Facts(poll, number, 2, per, change, closes_at, None, False, False, True)


def evidence() -> Evidence:
    """What fits that history."""
    return Evidence(
        polls={POLL: facts(POLL, 1), LAST: facts(LAST, 2, "voter"), FIRST: facts(FIRST, 3, "voter", change=False)},
        log={
            (POLL, A): [Cast(BASE | 1, 1, 10), Cast(BASE | 2, 1, 11)],
            (POLL, B): [Cast(BASE | 3, 2, 12)],
            (POLL, C): [Cast(BASE | 4, 2, 13)],
            (LAST, A): [Cast(BASE | 5, 1, 14), Cast(BASE | 6, 2, 15)],
            (FIRST, A): [Cast(BASE | 7, 1, 16), Cast(BASE | 8, 2, 17)],
        },
        rows={
            (POLL, A): Stored(1, -(BASE | 1)),
            (POLL, B): Stored(2, -(BASE | 3)),
            (POLL, C): Stored(2, -(BASE | 4)),
            (LAST, A): Stored(2, BASE | 6),
            (FIRST, A): Stored(1, -(BASE | 7)),
        },
        rejected={(FIRST, A): {(2, "taken"), (1, "taken")}},
        tallies={POLL: Tally((1, 2), 3, 3), LAST: Tally((0, 1), 1, 2), FIRST: Tally((1, 0), 1, 1)},
        poison=Counter({b"bad": 1}),
        dead=Counter({b"bad": 2}),
        finals={FIRST: Tally((1, 0), 1, 1)},
        shown={POLL: Tally((1, 2), 3, 3)},
        leaderboard=[(POLL, 2, 2), (POLL, 1, 1)],
    )


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    assert violations(told(history()), evidence()) == []


def forget(found: Evidence) -> None:
    del found.rows[POLL, A], found.log[POLL, A]
    found.tallies[POLL] = found.shown[POLL] = Tally((0, 2), 2, 3)
    found.leaderboard = [(POLL, 2, 2)]


def stay_uncounted(found: Evidence) -> None:
    del found.rows[POLL, A]


def invent(found: Evidence) -> None:
    found.log[POLL, b"\7" * 16] = [Cast(BASE | 9, 1, 20)]


def invent_a_row(found: Evidence) -> None:
    found.rows[POLL, b"\7" * 16] = Stored(1, -1)


def count_the_refused(found: Evidence) -> None:
    found.log[POLL, D] = [Cast(BASE | 9, 2, 20)]


def double(found: Evidence) -> None:
    found.row_numbers[POLL, A] = 2


def let_the_first_win(found: Evidence) -> None:
    found.rows[LAST, A] = Stored(1, BASE | 5)


def keep_the_place_of_an_earlier_cast(found: Evidence) -> None:
    found.rows[LAST, A] = Stored(2, BASE | 5)


def forget_a_rejection(found: Evidence) -> None:
    found.rejected.clear()


def reject_for_another_reason(found: Evidence) -> None:
    found.rejected[FIRST, A] = {(2, "poll_closed")}


def drift(found: Evidence) -> None:
    found.tallies[POLL] = Tally((2, 2), 4, 3)


def drift_in_the_total(found: Evidence) -> None:
    found.tallies[POLL] = Tally((1, 2), 4, 3)


def leave_some(found: Evidence) -> None:
    found.uncounted = 3


def change_a_final(found: Evidence) -> None:
    found.finals[FIRST] = Tally((0, 1), 1, 1)


def show_another(found: Evidence) -> None:
    found.shown[POLL] = Tally((1, 1), 2, 2)


def go_back(found: Evidence) -> None:
    found.went_back.append("from 3 to 2")


def rank_another(found: Evidence) -> None:
    found.leaderboard = [(POLL, 2, 3)]


def have_no_leaderboard(found: Evidence) -> None:
    found.leaderboard = None


def lose_poison(found: Evidence) -> None:
    found.dead.clear()


def bury_a_good_vote(found: Evidence) -> None:
    found.dead[b"good"] += 1


def hang(found: Evidence) -> None:
    found.hung.append("api: no answer for 31 s")


HARMS: dict[Callable[[Evidence], None], set[str]] = {
    forget: {"lost from the log", "lost"},
    stay_uncounted: {"lost", "wrong cast counts", "tally drifted"},
    invent: {"invented", "wrong cast counts"},
    invent_a_row: {"invented", "tally drifted"},
    count_the_refused: {"invented", "refused and logged", "wrong cast counts"},
    double: {"doubled", "tally drifted"},
    let_the_first_win: {"wrong cast counts", "tally drifted"},
    keep_the_place_of_an_earlier_cast: {"wrong cast counts"},
    forget_a_rejection: {"wrong rejections"},
    reject_for_another_reason: {"wrong rejections"},
    drift: {"tally drifted", "socket shows another", "leaderboard differs"},
    drift_in_the_total: {"tally drifted", "socket shows another"},
    leave_some: {"not drained"},
    change_a_final: {"final changed"},
    show_another: {"socket shows another"},
    go_back: {"revision went back"},
    rank_another: {"leaderboard differs"},
    have_no_leaderboard: {"no leaderboard"},
    lose_poison: {"poison vanished"},
    bury_a_good_vote: {"good vote in votes.dead"},
    hang: {"door hung"},
}


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
def test_each_harm_is_named(harm: Callable[[Evidence], None]) -> None:
    found = copy.deepcopy(evidence())
    harm(found)
    assert {one.name for one in violations(told(history()), found)} == HARMS[harm]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_each_check_has_a_harm(check: object) -> None:
    def finds(harm: Callable[[Evidence], None]) -> bool:
        found = copy.deepcopy(evidence())
        harm(found)
        return bool(violations(told(history()), found, [check]))  # type: ignore[list-item]

    assert any(map(finds, HARMS))


def test_a_late_cast_does_not_count() -> None:
    poll = facts(FIRST, 1, "voter", closes_at=15)
    assert outcome(poll, [Cast(BASE | 6, 2, 16), Cast(BASE | 5, 1, 15)]) == (
        Stored(1, BASE | 5),
        {(2, "poll_closed")},
    )
    assert outcome(poll, [Cast(BASE | 6, 2, 16)]) == (None, {(2, "poll_closed")})


def test_records_past_the_end_do_not_count() -> None:
    poll = facts(FIRST, 1, "voter")._replace(ends=(BASE | 6,))
    assert outcome(poll, [Cast(BASE | 6, 2, 16), Cast(BASE | 5, 1, 15)]) == (
        Stored(1, BASE | 5),
        {(2, "poll_closed")},
    )
    elsewhere = BASE | (1 << 42) | 5  # of a partition that the ends do not name
    assert outcome(poll, [Cast(elsewhere, 1, 15)])[0] is None


def test_the_longest_pause_is_between_two_accepted_votes() -> None:
    ends = [(1.0, "ok"), (9.0, "unknown"), (3.0, "ok"), (3.5, "ok")]
    made = [operation(POLL, A, 1, how)._replace(ended=end) for end, how in ends]  # type: ignore[arg-type]
    assert longest_pause(made) == 2.0
    assert longest_pause([]) == 0.0
