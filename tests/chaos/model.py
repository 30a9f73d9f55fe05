"""Chaos: what a log must come to, from the contract alone, in a few lines that share nothing with the product."""

from __future__ import annotations

from collections.abc import Iterable

from chaos.evidence import Cast, Facts, Stored

_OFFSET = (1 << 42) - 1


def outcome(poll: Facts, casts: Iterable[Cast]) -> tuple[Stored | None, set[tuple[int, str]]]:
    """The cast of one ballot that counts, if any, and the others with their reasons, by position in the log."""
    in_time: list[Cast] = []
    rejected: set[tuple[int, str]] = set()
    for cast in sorted(casts):
        if poll.deleted:
            rejected.add((cast.option, "poll_deleted"))
        elif _is_late(poll, cast):
            rejected.add((cast.option, "poll_closed"))
        else:
            in_time.append(cast)
    if not in_time:
        return None, rejected
    winner = in_time[-1] if poll.last_wins else in_time[0]
    if not poll.last_wins:
        rejected |= {(cast.option, "taken") for cast in in_time}
    others = {(option, reason) for option, reason in rejected if option != winner.option}
    return Stored(winner.option, winner.position if poll.last_wins else -winner.position), others


def _is_late(poll: Facts, cast: Cast) -> bool:
    if poll.closes_at is not None and cast.time > poll.closes_at:
        return True
    if poll.ends is None:
        return False
    place = cast.position & ~_OFFSET
    return not any(end & ~_OFFSET == place and cast.position < end for end in poll.ends)
