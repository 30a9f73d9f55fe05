"""The integration tests: polls close under load: what came in time counts, what is late does not."""

from __future__ import annotations

import os
import signal
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support import log
from support.load import Load, audit, ballot_of, ballots, rejected
from support.polls import (
    Made,
    accepted,
    closing_soon,
    counts,
    create,
    decided,
    final,
    is_over,
    results,
    shown,
    status,
    vote,
)
from support.system import System
from support.waiting import until


@pytest.mark.parametrize("how", ["by hand", "by time"])
def test_closing_under_load(whole: System, how: str) -> None:
    client = whole.client
    for poll in closing_soon(client, seconds=2.5) if how == "by time" else [create(client)]:
        with Load(whole, poll) as load:
            if how == "by hand":
                load.until_more(50)
                client.post(f"{poll.path}/close", **poll.admin).expect(200)
            until(lambda load=load: load.refused["poll_closed"] > 20, "the voters are told that it is closed")  # type: ignore[misc]
        if load.total >= 50:
            break
    assert set(load.refused) == {"poll_closed"}
    last = final(client, poll)
    audit(whole, load, late=lambda closed: closed == poll)
    assert results(client, poll) == last, "final means final"
    stray = [_late(whole, poll) for _ in range(3)]
    until(lambda: rejected(whole, poll).keys() >= set(stray), "records after the end are rejected")
    assert set(rejected(whole, poll).values()) == {"poll_closed"}
    assert results(client, poll) == last


def _late(system: System, poll: Made) -> bytes:
    """Another program writes a vote into the log, whatever the poll's state."""
    ballot = uuid.uuid4()
    log.write(system.settings.kafka_broker, {"poll": poll.id, "ballot": ballot.hex, "option": "1"}, key=ballot.bytes)
    return ballot.bytes


def test_a_poll_is_not_final_while_votes_wait_in_the_log(whole: System) -> None:
    client = whole.client
    poll = create(client)
    whole.kill("bridge")
    for _ in range(30):
        accepted(client, poll, "2")
    closed = client.post(f"{poll.path}/close", **poll.admin).expect(200)
    cut_off = datetime.fromisoformat(closed["closes_at"])
    skew = timedelta(seconds=whole.settings.allowed_skew)
    until(lambda: datetime.now(UTC) > cut_off + skew + timedelta(seconds=2.5), "beat has had its turns")
    assert results(client, poll)["final"] is False
    assert counts(results(client, poll)) == [0, 0]
    whole.spawn("bridge")
    assert counts(final(client, poll)) == [0, 30]


def test_moving_votes_until_the_end(whole: System) -> None:
    """With one vote per voter the last that came in time stands."""
    client = whole.client
    for poll in closing_soon(client, one_vote_per="voter", seconds=1.5):
        stands: dict[str, str] = {}
        turn = 0
        while True:
            voter, option = f"voter {turn % 7}", str(1 + turn // 7 % 2)
            answer = vote(client, poll, option, voter, **poll.admin)
            turn += 1
            if answer.status == 409:
                assert answer.code == "poll_closed"
                break
            answer.expect(202)
            stands[voter] = option
        if turn > 2 * 7 + 1:
            # Everybody has moved a vote.
            break
    last = final(client, poll)
    # A cast that the log stamped just after the cut-off is late, although the door took it: then the one before stands.
    assert sum(counts(last)) == len(stands)
    if not rejected(whole, poll):
        assert counts(last) == [list(stands.values()).count(option) for option in ("1", "2")]


def test_many_polls_close_at_once(whole: System) -> None:
    client = whole.client
    for first in closing_soon(client, seconds=2):
        closes_at = first.answer["closes_at"]
        body = {"question": "Which one?", "options": ["Yes", "No"], "closes_at": closes_at}
        made = [client.post("/api/polls", body) for _ in range(24)]
        if is_over(closes_at):
            continue
        polls = [first, *(Made(one["id"], one["admin_token"], one) for one in (answer.expect(201) for answer in made))]
        votes = [vote(client, poll) for poll in polls]
        if not is_over(closes_at):
            break
    for answer in votes:
        answer.expect(202)
    for poll in polls:
        assert counts(final(client, poll)) == [1, 0]


@pytest.mark.parametrize("how", ["by hand", "by time"])
def test_the_broker_is_killed_at_the_closing_moment(whole: System, how: str) -> None:
    """And comes back: each 202 counts, or is rejected as late and says so; nobody's vote hangs; final means final."""
    client, kafka = whole.client, whole.servers.kafka
    assert kafka is not None
    final(client, create(client, closes_at=(datetime.now(UTC) + timedelta(seconds=0.3)).isoformat()))  # beat is heard
    before = create(client)
    # After another test has killed the broker the door needs a moment to find the topic again.
    until(lambda: vote(client, before).status == 202, "votes are accepted")
    closes_at = datetime.now(UTC) + timedelta(seconds=6)
    poll = create(client, **({"closes_at": closes_at.isoformat()} if how == "by time" else {}))
    with Load(whole, poll, keyed_only=True) as load:
        load.until_more(50)
        if how == "by time":
            until(lambda: datetime.now(UTC) > closes_at - timedelta(seconds=0.1), "the moment has come")
            kafka.kill()
        else:
            kafka.kill()
            client.post(f"{poll.path}/close", **poll.admin).expect(200)
        kafka.start()
        until(lambda: load.refused["poll_closed"] > 20, "the voters are told that the poll is closed")
    assert set(load.refused) == {"poll_closed"}
    last = final(client, poll)
    audit(whole, load, late=lambda closed: closed == poll)
    late = rejected(whole, poll)
    for vote_id in load.accepted[poll.id]:
        if ballot_of(vote_id) in late:
            assert [one["reason"] for one in status(client, poll, vote_id)["rejected"]] == ["poll_closed"]
    assert results(client, poll) == last


def test_a_vote_that_was_answered_202_and_is_late_says_so(whole: System) -> None:
    """The broker stands still while the poll's time comes: it stamps a vote, which the door took in time, after it."""
    client, kafka = whole.client, whole.servers.kafka
    assert kafka is not None
    assert kafka.pid is not None
    for _ in range(20):
        closes_at = datetime.now(UTC) + timedelta(seconds=1.5)
        poll = create(client, closes_at=closes_at.isoformat())
        early = accepted(client, poll, "1")
        os.kill(kafka.pid, signal.SIGSTOP)
        try:
            until(lambda: _stands_still(kafka.pid), "the broker stands still")
            with ThreadPoolExecutor(1) as pool, whole.client_of("api") as voter:
                casting = pool.submit(vote, voter, poll, "2")
                until(lambda closes_at=closes_at: datetime.now(UTC) > closes_at, "the time has come")  # type: ignore[misc]
                os.kill(kafka.pid, signal.SIGCONT)
                answer = casting.result()
        finally:
            os.kill(kafka.pid, signal.SIGCONT)
        if answer.status == 202:
            break
        # On a busy machine the vote may come too late for the door, or its answer too late from Kafka.
        assert (answer.status, answer.code) in ((409, "poll_closed"), (503, "log_unavailable"))
    late = answer.expect(202)["vote_id"]
    told = decided(client, poll, late)
    assert (told["status"], told["option"]) == ("rejected", None)
    assert told["rejected"] == [{"option": shown("2", "No"), "reason": "poll_closed"}]
    assert decided(client, poll, early)["status"] == "counted"
    assert counts(final(client, poll)) == [1, 0]


def _stands_still(pid: int | None) -> bool:
    """Whether a signal to stop has reached it: on a busy machine that takes a while."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "T"


def test_final_numbers_stay_whatever_is_replayed(whole: System) -> None:
    """All of the log is counted again, by a bridge and workers that run on, and nothing moves: no number, no revision,
    no voter's answer."""
    client = whole.client
    plain, moving = create(client), create(client, one_vote_per="voter")
    with Load(whole, plain) as load:
        for turn in range(12):
            accepted(client, moving, str(1 + turn % 2), f"voter {turn % 5}", **moving.admin)
        load.until_more(50)
        for poll in (plain, moving):
            client.post(f"{poll.path}/close", **poll.admin).expect(200)
        until(lambda: load.refused["poll_closed"] > 5, "the voters are told that the poll is closed")
    _late(whole, moving)
    before = [(final(client, poll), ballots(whole, poll)) for poll in (plain, moving)]
    until(lambda: rejected(whole, moving), "the late record is rejected")
    late = [rejected(whole, poll) for poll in (plain, moving)]
    with whole.database() as connection:
        ask = "SELECT generation, partition, next FROM frontiers ORDER BY 1, 2"
        frontiers: list[tuple[Any, ...]] = connection.execute(ask).fetchall()
        connection.execute("UPDATE frontiers SET next = 0")

        def counted_again() -> bool:
            now: list[tuple[Any, ...]] = connection.execute(ask).fetchall()
            return all(after[2] >= before[2] for before, after in zip(frontiers, now, strict=True))

        until(counted_again, "all of the log is counted again")
    assert [(results(client, poll), ballots(whole, poll)) for poll in (plain, moving)] == before
    assert [rejected(whole, poll) for poll in (plain, moving)] == late
    whole.command("recount")
