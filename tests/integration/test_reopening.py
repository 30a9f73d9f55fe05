"""The integration tests: polls are opened again under load; and doors that tell each other how many watch."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from support import log
from support.load import Load, audit, ballot_of, ballots, rejected
from support.polls import Made, accepted, counted, counts, create, decided, final, results, vote
from support.sockets import Socket, socket
from support.system import System
from support.waiting import until


def close(system: System, poll: Made) -> None:
    system.client.post(f"{poll.path}/close", **poll.admin).expect(200)


def reopen(system: System, poll: Made) -> None:
    system.client.post(f"{poll.path}/reopen", **poll.admin).expect(200)


def write(system: System, poll: Made, option: str = "1") -> bytes:
    """Another program writes a vote into the log, whatever the poll's state."""
    ballot = uuid.uuid4()
    value = {"poll": poll.id, "ballot": ballot.hex, "option": option}
    log.write(system.settings.kafka_broker, value, key=ballot.bytes)
    return ballot.bytes


def until_rejected(system: System, poll: Made, written: list[bytes]) -> None:
    until(lambda: set(written) <= rejected(system, poll).keys(), "what was written meanwhile is rejected")


def gaps(system: System, poll: Made) -> list[tuple[datetime, datetime]]:
    """The times in which the poll was closed before it was opened again."""
    with system.database() as connection:
        rows = connection.execute(
            "SELECT lower(gap), upper(gap) FROM polls, unnest(gaps) AS gap WHERE id = %s ORDER BY gap", [poll.id]
        ).fetchall()
    return [(closed, opened) for closed, opened in rows]  # type: ignore[misc]


def count_all_again(system: System) -> None:
    """All of the log is counted again, by a bridge and workers that run on."""
    with system.database() as connection:
        ask = "SELECT generation, partition, next FROM frontiers ORDER BY 1, 2"
        before = connection.execute(ask).fetchall()
        connection.execute("UPDATE frontiers SET next = 0")

        def done() -> bool:
            return all(now[2] >= then[2] for then, now in zip(before, connection.execute(ask).fetchall(), strict=True))  # type: ignore[operator]

        until(done, "all of the log is counted again")


def test_closed_and_opened_again_under_load(whole: System) -> None:
    """By hand, again and again: each 202 counts, or came while it was closed and says so; and when all of the log is
    counted again nothing moves."""
    poll = create(whole.client)
    outside: list[bytes] = []
    with Load(whole, poll) as load:
        for _ in range(3):
            load.until_more(40)
            refused = load.refused["poll_closed"]
            close(whole, poll)
            until(lambda refused=refused: load.refused["poll_closed"] > refused + 5, "voters are told")  # type: ignore[misc]
            outside += [write(whole, poll) for _ in range(5)]
            until_rejected(whole, poll, outside)
            reopen(whole, poll)
        load.until_more(40)
    assert set(load.refused) == {"poll_closed"}
    audit(whole, load, late=lambda _: True)
    assert len(gaps(whole, poll)) == 3
    late = rejected(whole, poll)
    assert set(outside) <= late.keys()
    before = results(whole.client, poll), ballots(whole, poll), late
    count_all_again(whole)
    assert (results(whole.client, poll), ballots(whole, poll), rejected(whole, poll)) == before
    whole.command("recount", poll.id)
    whole.command("recount", "--from-log", poll.id)
    close(whole, poll)
    assert counts(final(whole.client, poll)) == counts(before[0])


def test_by_time_while_votes_wait_in_the_log(whole: System) -> None:
    """Nobody counts while the poll closes by time, is announced and sealed, and is opened again: what was written in
    each of these times is judged by that time, though it is counted after all of them."""
    client = whole.client
    poll = create(client)
    whole.kill("bridge")
    early = accepted(client, poll, "1")
    closes_at = datetime.now(UTC) + timedelta(seconds=1)
    timed = client.request("PATCH", poll.path, {"closes_at": closes_at.isoformat()}, headers=poll.admin)
    timed.expect(200)

    def sealed() -> bool:
        with whole.database() as connection:
            row = connection.execute("SELECT ends IS NOT NULL FROM polls WHERE id = %s", [poll.id]).fetchone()
        return row == (True,)

    until(sealed, "the ends of the log are stored")
    late = write(whole, poll)
    reopen(whole, poll)
    assert not sealed(), "they were those of a closing that was taken back"
    after = accepted(client, poll, "2")
    whole.spawn("bridge")
    counted(client, poll, 1, 1)
    assert {decided(client, poll, one)["status"] for one in (early, after)} == {"counted"}
    until(lambda: rejected(whole, poll) == {late: "poll_closed"}, "what came between is rejected")
    close(whole, poll)
    last = final(client, poll)
    assert counts(last) == [1, 1]
    count_all_again(whole)
    assert results(client, poll) == last
    whole.command("recount", "--from-log", poll.id)


def test_a_voter_whose_vote_came_too_late_votes_again(whole: System) -> None:
    """The other door has not heard of the closing, and takes a vote; the count rejects it. Opened again, the poll takes
    that voter's vote, whatever the doors remember of the first."""
    client = whole.client
    whole.spawn("api", under="api-2")
    whole.until_ready(["api-2"])
    poll = create(client, one_vote_per="voter", allow_change=False)
    with whole.client_of("api-2") as other:
        results(other, poll)
        for turn in range(50):
            voter = f"voter {turn}"
            close(whole, poll)
            early = vote(other, poll, "1", voter, **poll.admin)
            if early.status == 202:
                break
            assert early.code == "poll_closed"
            reopen(whole, poll)
            until(lambda turn=turn: vote(other, poll, "2", f"{turn}", **poll.admin).status == 202, "it takes votes")  # type: ignore[misc]
        vote_id = early.expect(202)["vote_id"]
        assert decided(client, poll, vote_id)["rejected"][0]["reason"] == "poll_closed"
        reopen(whole, poll)
        for door in (client, other):
            until(lambda door=door: vote(door, poll, "1", voter, **poll.admin).status == 202, "it takes the vote")  # type: ignore[misc]
        until(lambda: ballot_of(vote_id) in ballots(whole, poll), "the vote is counted")
        assert decided(client, poll, vote_id)["status"] == "counted"
    whole.end("api-2")


async def hears(one: Socket, viewers: int) -> None:
    await one.hear_of("viewers", lambda frame: frame["viewers"] == viewers)


@pytest.mark.parametrize("how", ["killed", "asleep"])
async def test_a_door_that_is_gone_has_no_viewers(whole: System, how: str) -> None:
    """Its numbers vanish by themselves; one that only slept tells them again."""
    poll = create(whole.client)
    whole.spawn("api", under="api-2")
    whole.until_ready(["api-2"])
    there = whole.url_of("api-2").replace("http", "ws") + "/"
    async with socket(whole.ws_url) as one:
        await one.say(type="subscribe", poll=poll.id, viewers=True)
        await hears(one, 1)
        others = [socket(f"{there}?poll={poll.id}") for _ in range(3)]
        opened = [await other.__aenter__() for other in others]
        await hears(one, 4)
        if how == "killed":
            whole.kill("api-2")
            await hears(one, 1)
        else:
            with whole.frozen("api-2"):
                await hears(one, 1)
            await hears(one, 4)
            whole.end("api-2")
            await hears(one, 1)
        for other in opened:
            await other.close_code()


async def test_redis_comes_and_goes(whole: System) -> None:
    """Without it a door knows its own sockets; with it again it knows all, though Redis has forgotten everything."""
    poll = create(whole.client)
    whole.spawn("api", under="api-2")
    whole.until_ready(["api-2"])
    there = whole.url_of("api-2").replace("http", "ws") + "/"
    redis = whole.servers.redis
    assert redis is not None
    async with socket(whole.ws_url) as one, socket(f"{there}?poll={poll.id}") as other:
        await other.hear_of("results")
        await one.say(type="subscribe", poll=poll.id, viewers=True)
        await hears(one, 2)
        redis.kill()
        await hears(one, 1)
        redis.start()
        await hears(one, 2)
    whole.end("api-2")
