"""The integration tests: polls close under load: what came in time counts, what is late does not."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from support import log
from support.load import Load, audit, rejected
from support.polls import Made, accepted, closing_soon, counts, create, final, is_over, results, vote
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
