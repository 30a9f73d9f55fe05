"""Chaos: holds what is stored against what was answered. Pure: each check looks at the evidence and names the harm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from chaos.evidence import Evidence, Stored
from chaos.history import Pair, Told
from chaos.model import outcome


class Violation(NamedTuple):
    """A promise that was broken: its name, and where."""

    name: str
    where: str


Check = Callable[[Told, Evidence], Iterator[Violation]]


def acknowledged_is_logged(told: Told, found: Evidence) -> Iterator[Violation]:
    """Every cast that was answered 202 is in the log."""
    for pair, options in told.ok.items():
        missing = options - {cast.option for cast in found.log.get(pair, ())}
        if missing:
            yield Violation("lost from the log", f"{_name(pair)}: options {sorted(missing)}")


def acknowledged_ends(told: Told, found: Evidence) -> Iterator[Violation]:
    """Every ballot that was answered 202 ended: counted, or rejected with a reason."""
    for pair in told.ok:
        if pair not in found.rows and not found.rejected.get(pair):
            yield Violation("lost", _name(pair))


def ended_was_cast(told: Told, found: Evidence) -> Iterator[Violation]:
    """Nothing ended that was neither acknowledged nor unknown, and nothing that is not in the log."""
    strangers: Counter[str] = Counter()
    for pair in found.log:
        if pair not in told.ok and pair not in told.unknown:
            strangers[pair[0]] += 1
    for poll, number in strangers.items():
        if number > told.nameless[poll]:
            yield Violation("invented", f"{poll}: {number} ballots nobody cast, {told.nameless[poll]} unknown")
    for pair in {*found.rows, *found.rejected}:
        if pair not in found.log:
            yield Violation("invented", f"{_name(pair)} is stored and not in the log")


def refused_is_not_counted(told: Told, found: Evidence) -> Iterator[Violation]:
    """What was refused for good never got into the log, unless it was cast another time as well."""
    for pair, options in told.failed.items():
        elsewhere = told.ok.get(pair, set()) | told.unknown.get(pair, set())
        wrong = (options - elsewhere) & {cast.option for cast in found.log.get(pair, ())}
        if wrong:
            yield Violation("refused and logged", f"{_name(pair)}: options {sorted(wrong)}")


def one_row_a_ballot(told: Told, found: Evidence) -> Iterator[Violation]:
    """A ballot is counted at most once."""
    for pair, number in found.row_numbers.items():
        yield Violation("doubled", f"{_name(pair)}: {number} rows")


def the_right_cast_counts(told: Told, found: Evidence) -> Iterator[Violation]:
    """The option and the position of each ballot are those that the log's order decides, and so are the rejections."""
    for pair, casts in found.log.items():
        poll = found.polls.get(pair[0])
        if poll is None:
            continue
        counts, rejected = outcome(poll, casts)
        stored = found.rows.get(pair)
        if stored != counts:
            yield Violation("wrong cast counts", f"{_name(pair)}: {stored}, and the log says {counts}")
        told_of = {(option, reason) for option, reason in found.rejected.get(pair, ()) if not _is(stored, option)}
        if told_of != rejected:
            yield Violation("wrong rejections", f"{_name(pair)}: {told_of}, and the log says {rejected}")


def tallies_are_recounts(told: Told, found: Evidence) -> Iterator[Violation]:
    """Each tally equals a recount of the rows."""
    recounts = {poll.id: [0] * poll.options for poll in found.polls.values()}
    for (poll_id, _ballot), stored in found.rows.items():
        recounts[poll_id][stored.option - 1] += found.row_numbers.get((poll_id, _ballot), 1)
    for poll_id, recount in recounts.items():
        tally = found.tallies[poll_id]
        if list(tally.counts) != recount or tally.total != sum(recount):
            yield Violation("tally drifted", f"{poll_id}: {tally}, and a recount says {recount}")


def everything_drained(told: Told, found: Evidence) -> Iterator[Violation]:
    """All of the log is counted."""
    if found.uncounted:
        yield Violation("not drained", f"{found.uncounted} records of the log are not counted")


def final_is_final(told: Told, found: Evidence) -> Iterator[Violation]:
    """A final poll's numbers never change again."""
    for poll_id, tally in found.finals.items():
        if tally != found.tallies[poll_id]:
            yield Violation("final changed", f"{poll_id}: was {tally}, is {found.tallies[poll_id]}")


def sockets_saw_the_end(told: Told, found: Evidence) -> Iterator[Violation]:
    """A socket that lived through it all shows the tallies, and no revision went back on it."""
    for poll_id, tally in found.shown.items():
        if tally != found.tallies[poll_id]:
            yield Violation("socket shows another", f"{poll_id}: {tally}, and it is {found.tallies[poll_id]}")
    for words in found.went_back:
        yield Violation("revision went back", words)


def redis_has_the_leaderboard(told: Told, found: Evidence) -> Iterator[Violation]:
    """The leaderboard in Redis is that of the tallies. Its entries are (poll, option, votes)."""
    if found.leaderboard is None:
        yield Violation("no leaderboard", "Redis has none")
        return
    for poll_id, option, votes in found.leaderboard:
        tally = found.tallies.get(poll_id)
        if tally is None or tally.counts[option - 1] != votes:
            yield Violation("leaderboard differs", f"{poll_id}: option {option} with {votes}, and it is {tally}")


def poison_is_put_aside(told: Told, found: Evidence) -> Iterator[Violation]:
    """All that cannot be read is in `votes.dead`, and nothing else is."""
    for value, written in found.poison.items():
        if written and value not in found.dead:
            yield Violation("poison vanished", repr(value[:80]))
    for value in found.dead:
        if value not in found.poison:
            yield Violation("good vote in votes.dead", repr(value[:120]))


def doors_live(told: Told, found: Evidence) -> Iterator[Violation]:
    """A door that nobody stopped answers whether it lives."""
    for words in found.hung:
        yield Violation("door hung", words)


CHECKS: tuple[Check, ...] = (
    acknowledged_is_logged,
    acknowledged_ends,
    ended_was_cast,
    refused_is_not_counted,
    one_row_a_ballot,
    the_right_cast_counts,
    tallies_are_recounts,
    everything_drained,
    final_is_final,
    sockets_saw_the_end,
    redis_has_the_leaderboard,
    poison_is_put_aside,
    doors_live,
)


def violations(told: Told, found: Evidence, checks: Iterable[Check] = CHECKS) -> list[Violation]:
    """Everything that is wrong."""
    return [one for check in checks for one in check(told, found)]


def _is(stored: Stored | None, option: int) -> bool:
    return stored is not None and stored.option == option


def _name(pair: Pair) -> str:
    return f"poll {pair[0]}, ballot {pair[1].hex()}"
