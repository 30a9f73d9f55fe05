"""Tests: many voters at once, who remember each word they were given; and the audit of what became of their votes."""

from __future__ import annotations

import base64
import http.client
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any, LiteralString

from support.http import Client
from support.polls import Made, counts, results, status
from support.system import System
from support.waiting import until

VOTERS = 4
PAUSE = 0.005
"""Seconds between a voter's votes, so that the load leaves room for those that work it off."""

GIVE_UP = 120.0
"""Seconds that a voter goes on to send one keyed vote again."""

_BROKEN = (OSError, http.client.HTTPException)


class Load:
    """Voters in threads, from `with` to its end, in any of `polls`, half of them with an Idempotency-Key.

    A keyed vote that gets no answer, or a 5xx, is sent again until it has one: so it counts exactly once. A plain one
    cannot be: it goes to `unknown`. `accepted` has the option of each vote that was answered 202, by poll and vote id;
    `refused` counts the codes of other answers, `unanswered` the requests that got none.
    """

    def __init__(self, system: System, *polls: Made, keyed_only: bool = False, door: str = "api") -> None:
        self.accepted: dict[str, dict[str, str]] = {poll.id: {} for poll in polls}
        self.refused: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()
        self.unanswered = 0
        self._polls = polls
        self._url = system.url_of(door)
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._errors: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._run, args=(number, keyed_only or number % 2 == 0)) for number in range(VOTERS)
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()
        if self._errors and error is None:
            raise self._errors[0]

    @property
    def total(self) -> int:
        """Votes accepted so far."""
        return sum(map(len, self.accepted.values()))

    def until_more(self, votes: int) -> None:
        """Waits until so many more were accepted."""
        wanted = self.total + votes
        until(lambda: self._errors or self.total >= wanted, f"{wanted} votes are accepted")

    def _run(self, number: int, keyed: bool) -> None:
        try:
            with Client(self._url, once=True) as client:
                turn = number
                while not self._ended.is_set():
                    turn += 1
                    self._vote(client, self._polls[turn % len(self._polls)], str(1 + turn % 2), keyed)
                    self._ended.wait(PAUSE)
        except BaseException as error:  # noqa: BLE001 (raised again by the test's own thread)
            self._errors.append(error)

    def _vote(self, client: Client, poll: Made, option: str, keyed: bool) -> None:
        headers = {"Idempotency-Key": uuid.uuid4().hex} if keyed else {}
        deadline = time.monotonic() + GIVE_UP
        unanswered = False
        while True:
            try:
                answer = client.request("POST", f"{poll.path}/vote", {"option": option}, headers=headers)
            except _BROKEN:
                answer = None
                with self._lock:
                    self.unanswered += 1
            if answer is not None and answer.status == 202:
                with self._lock:
                    self.accepted[poll.id][answer.json["vote_id"]] = option
                return
            if answer is not None and answer.status < 500:
                with self._lock:
                    self.refused[str(answer.code)] += 1
                    self.unknown[poll.id] += unanswered  # the poll closed meanwhile; the first try may be in the log
                return
            unanswered = True
            if not keyed:
                with self._lock:
                    self.unknown[poll.id] += 1
                return
            assert time.monotonic() < deadline, f"a vote could not be cast for {GIVE_UP:g} s: {answer}"
            time.sleep(0.1)


def ballots(system: System, poll: Made) -> dict[bytes, int]:
    """The stored ballots of a poll: the option of each."""
    return _asked(system, poll, "SELECT ballot, option FROM ballots JOIN polls ON number = poll WHERE id = %s")


def rejected(system: System, poll: Made) -> dict[bytes, str]:
    """The rejected ballots of a poll: the reason of each. A rejection of the option that counts is none."""
    return _asked(
        system,
        poll,
        "SELECT ballot, reason FROM rejections r JOIN polls ON number = poll WHERE id = %s AND NOT EXISTS"
        " (SELECT FROM ballots b WHERE b.poll = r.poll AND b.ballot = r.ballot AND b.option = r.option)",
    )


def _asked(system: System, poll: Made, question: LiteralString) -> dict[bytes, Any]:
    with system.database() as connection:
        rows: list[tuple[Any, ...]] = connection.execute(question, [poll.id]).fetchall()
    return {ballot.bytes: value for ballot, value in rows}


def until_decided(system: System, load: Load) -> None:
    """Waits until each vote that was answered 202 is counted or rejected."""
    for poll in load._polls:
        wanted = {ballot_of(vote_id) for vote_id in load.accepted[poll.id]}

        def missing(poll: Made = poll, wanted: set[bytes] = wanted) -> int:
            return len(wanted - ballots(system, poll).keys() - rejected(system, poll).keys())

        until(lambda missing=missing: missing() == 0, f"all of {len(wanted)} votes are decided")  # type: ignore[misc]


def audit(system: System, load: Load, *, late: Callable[[Made], bool] = lambda poll: False) -> None:
    """Every 202 counted once, for its option; tallies equal to a recount; nothing else counted but what is unknown.

    `late` says of which polls votes may have been rejected as too late.
    """
    until_decided(system, load)
    for poll in load._polls:
        wanted = {ballot_of(vote_id): int(option) for vote_id, option in load.accepted[poll.id].items()}
        stored, out = ballots(system, poll), rejected(system, poll)
        if not late(poll):
            assert not out
        assert set(out.values()) <= {"poll_closed"}
        assert not stored.keys() & out.keys()
        assert {ballot: option for ballot, option in wanted.items() if ballot not in out} == {
            ballot: option for ballot, option in stored.items() if ballot in wanted
        }
        assert len(stored.keys() - wanted.keys()) <= load.unknown[poll.id], "somebody's vote counted that nobody cast"
        recounted: Counter[int] = Counter(stored.values())
        read = until(
            lambda poll=poll, stored=stored: (r := results(system.client, poll))["total_votes"] == len(stored) and r,  # type: ignore[misc]
            f"the tally is that of {len(stored)} ballots",
        )
        assert counts(read) == [recounted[1], recounted[2]]
        for vote_id in list(load.accepted[poll.id])[:: max(1, len(wanted) // 10)]:
            state = status(system.client, poll, vote_id)
            assert state["status"] == ("rejected" if ballot_of(vote_id) in out else "counted")
        system.command("recount", poll.id)


def ballot_of(vote_id: str) -> bytes:
    """The ballot that a vote id names."""
    return base64.urlsafe_b64decode(vote_id)[:16]
