"""Redis's door, on a real Valkey that is killed, stopped and flushed."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import pytest
import pytest_asyncio
import redis
from socket_door import until

from polling.core.leaderboard import Entry, Leaderboard, Option
from polling.core.polls import Poll, Results
from polling.live import Live, LivePublisher, channels
from polling.live.door import TIMEOUT
from polling.live.patience import within
from polling.local.servers import Servers

NOBODY = "redis://127.0.0.1:1/0"
PATIENCE = 30.0
"""Seconds that a Redis which is there may take to answer: a stall must not make it look as if it were away."""


def results(revision: int, poll_id: str = "poll") -> Results:
    return Results(poll_id=poll_id, revision=revision, counts=(revision, 0), status="open", final=False)


def board(votes: int) -> Leaderboard:
    entries = (
        Entry(rank=1, poll_id="p", question="Q?", option=Option("1", "A"), votes=votes, share=0.75),
        Entry(rank=2, poll_id="p", question="Q?", option=Option("2", "B"), votes=1, share=0.25),
    )
    return Leaderboard(updated_at=datetime.now(UTC), entries=entries)


class Heard:
    """What a `Live` told its listeners."""

    def __init__(self, live: Live) -> None:
        self.results: list[Results] = []
        self.boards: list[Leaderboard] = []
        self.connected = 0
        live.on_results(self._on_results)
        live.on_leaderboard(self.boards.append)
        live.on_reconnected(self._on_reconnected)

    def _on_results(self, news: Sequence[Results]) -> None:
        self.results += news

    def _on_reconnected(self) -> None:
        self.connected += 1


@pytest_asyncio.fixture
async def live(redis_url: str) -> AsyncIterator[Live]:
    door = Live(redis_url, timeout=PATIENCE)
    yield door
    await door.close()


@pytest_asyncio.fixture
async def heard(live: Live) -> Heard:
    """A door that is open and connected."""
    return await opened(live)


async def opened(live: Live) -> Heard:
    ears = Heard(live)
    await live.open()
    await until(lambda: ears.connected)
    return ears


async def test_results_reach_those_who_watch(live: Live, heard: Heard, redis_url: str) -> None:
    await live.watch("poll")
    publisher = LivePublisher(redis_url, timeout=PATIENCE)
    publisher.results([results(1), results(3), results(2)])
    await until(lambda: heard.results)
    assert heard.results == [results(3)], "the newest of a poll alone"
    await live.publish_results([results(4)])
    await until(lambda: len(heard.results) == 2)
    publisher.close()


async def test_a_shard_is_left_with_its_last_watcher_and_can_be_joined_again_at_once(
    live: Live, heard: Heard, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("polling.live.listener.SUBSCRIBE_TIMEOUT", PATIENCE)
    client = redis.Redis.from_url(redis_url)
    channel = channels.results(channels.shard_of("poll"))

    def subscribers() -> int:
        return int(client.pubsub_numsub(channel)[0][1])

    await live.watch("poll")
    await live.watch("poll")
    await live.unwatch("poll")
    assert subscribers() == 1
    await live.unwatch("poll")
    await until(lambda: subscribers() == 0)
    for revision in range(1, 50):
        await live.watch("poll")
        await live.publish_results([results(revision)])
        await live.unwatch("poll")
    await until(lambda: heard.results and heard.results[-1].revision == 49)
    assert [one.revision for one in heard.results] == list(range(1, 50)), "each was watched when it was published"
    client.close()


async def test_a_killed_redis_comes_back_with_its_subscriptions(valkey: Servers, live: Live, heard: Heard) -> None:
    assert valkey.redis
    await live.watch("before")
    valkey.redis.kill()
    await live.watch("during")
    await live.publish_results([results(1, "before")])
    assert await live.ping() is False
    assert await live.ballot(b"b" * 16) is None
    await asyncio.to_thread(valkey.redis.start)
    await until(lambda: heard.connected == 2)
    await until_published(live, heard, results(2, "before"))
    await until_published(live, heard, results(3, "during"))
    assert await live.ping() is True


async def until_published(live: Live, heard: Heard, one: Results) -> None:
    """The breaker may still rest, so it is published until it is heard."""
    deadline = time.monotonic() + 30
    while one not in heard.results:
        assert time.monotonic() < deadline
        await live.publish_results([one])
        await asyncio.sleep(0.05)


async def test_a_redis_that_hangs_is_noticed_and_left(valkey: Servers, redis_url: str) -> None:
    assert valkey.redis
    assert valkey.redis.pid
    live = Live(redis_url)
    heard = await opened(live)
    os.kill(valkey.redis.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert await live.poll("p") is None
        assert await live.ballot(b"b" * 16) is None
        await live.watch("poll")
        live.remember_ballot(b"b" * 16, 1, last_wins=False)
        assert time.monotonic() - began < 20, "every wait is bounded"
        await asyncio.sleep(5)
    finally:
        os.kill(valkey.redis.pid, signal.SIGCONT)
    await until(lambda: heard.connected >= 2)
    await until_published(live, heard, results(1))
    await live.close()


async def test_flushall_forgets_caches_but_no_subscription(live: Live, heard: Heard, redis_url: str) -> None:
    await live.watch("poll")
    live.remember_ballot(b"f" * 16, 2, last_wins=False)
    await until_known(live, b"f" * 16, 2)
    client = redis.Redis.from_url(redis_url)
    client.flushall()
    client.close()
    assert await live.ballot(b"f" * 16) is None
    await until_published(live, heard, results(1))


async def until_known(live: Live, ballot: bytes, option: int) -> None:
    deadline = time.monotonic() + 30
    while await live.ballot(ballot) != option:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_ballots_first_or_last_wins(live: Live, heard: Heard) -> None:
    live.remember_ballot(b"1" * 16, 1, last_wins=False)
    await until_known(live, b"1" * 16, 1)
    live.remember_ballot(b"1" * 16, 2, last_wins=False)
    live.remember_ballot(b"2" * 16, 1, last_wins=True)
    await until_known(live, b"2" * 16, 1)
    live.remember_ballot(b"2" * 16, 2, last_wins=True)
    await until_known(live, b"2" * 16, 2)
    await until_known(live, b"1" * 16, 1)


async def test_many_ballots_at_once_are_each_answered_rightly(live: Live, heard: Heard) -> None:
    ballots = {number.to_bytes(16): number % 100 + 1 for number in range(3000)}
    for ballot, option in ballots.items():
        live.remember_ballot(ballot, option, last_wins=False)
    await until_known(live, list(ballots)[-1], list(ballots.values())[-1])
    asked = list(ballots)[::7]
    found: list[int | None] = []
    deadline = time.monotonic() + PATIENCE
    while not any(found):
        assert time.monotonic() < deadline
        found = await asyncio.gather(*(live.ballot(ballot) for ballot in asked))
        # 50 ms may run out on a busy machine: an unknown ballot is allowed, a wrong one is not.
        assert all(option in (None, ballots[ballot]) for ballot, option in zip(asked, found, strict=True))
        await asyncio.sleep(0.05)


def a_poll(poll_id: str) -> Poll:
    return Poll(
        number=7,
        id=poll_id,
        question="Où?",
        options=("A", "B"),
        one_vote_per="browser",
        allow_change=False,
        listed=True,
        created_at=datetime.now(UTC),
        closes_at=None,
        closed=False,
        deleted=False,
        key=b"\x00k" * 16,
        admin_token_hash=b"\xffh" * 16,
    )


async def test_a_poll_is_remembered(live: Live, heard: Heard) -> None:
    poll = a_poll("abc")
    assert await live.poll("abc") is None
    await live.remember_poll(poll)
    assert await live.poll("abc") == poll


async def test_the_leaderboard_is_cached_whole_and_told_where_it_changed(
    live: Live, heard: Heard, redis_url: str
) -> None:
    publisher = LivePublisher(redis_url, timeout=PATIENCE)
    assert await live.leaderboard(10) is None
    first, second, empty = board(3), board(4), Leaderboard(updated_at=datetime.now(UTC), entries=())
    publisher.leaderboard(first, changed=True)
    publisher.leaderboard(second, changed=False)
    assert await live.leaderboard(10) == second
    assert await live.leaderboard(1) == second.top(1)
    publisher.leaderboard(empty, changed=True)
    assert await live.leaderboard(10) == empty
    await until(lambda: len(heard.boards) == 2)
    assert heard.boards == [first, empty]
    publisher.close()


async def test_a_stall_of_the_process_is_no_absence_of_redis(redis_url: str) -> None:
    """The loop finds its own timers due, and the answers that came meanwhile unread."""
    live = Live(redis_url)
    await opened(live)
    loop = asyncio.get_running_loop()
    for turns in range(6):
        poll = a_poll(f"stalled-{turns}")
        remembering = asyncio.create_task(live.remember_poll(poll))
        for _ in range(turns):
            await asyncio.sleep(0)
        loop.call_soon(time.sleep, TIMEOUT * 1.2)
        await remembering
        client = redis.Redis.from_url(redis_url)
        assert client.exists(channels.poll_key(poll.id))
        client.close()
    await live.close()


async def test_a_task_can_be_ended_in_the_middle_of_a_command(live: Live, heard: Heard) -> None:
    """Who stops a process waits for its tasks: none may miss that it is to end."""

    async def go_on() -> None:
        while True:
            await live.remember_poll(a_poll("over and over"))

    for turns in range(100):
        task = asyncio.create_task(go_on())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=PATIENCE)
        assert done, f"cancelled after {turns} turns of the loop, it went on"
        assert task.cancelled()


async def test_what_does_not_come_in_time_is_given_up() -> None:
    for seconds in (0.0, 0.05):
        with pytest.raises(TimeoutError):
            async with within(seconds):
                await asyncio.Event().wait()
    async with within(0.0):
        pass


async def test_what_redis_holds_may_be_nonsense(live: Live, heard: Heard, redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url)
    client.set(channels.poll_key("odd"), b"{")
    client.publish(channels.LEADERBOARD, b"[]")
    await live.watch("poll")
    client.publish(channels.results(channels.shard_of("poll")), b"\xff")
    client.close()
    assert await live.poll("odd") is None
    await until_published(live, heard, results(1))
    assert heard.boards == []


async def test_without_redis_from_the_start_nothing_raises() -> None:
    live = Live(NOBODY)
    heard = Heard(live)
    await live.open()
    await live.watch("poll")
    assert await live.poll("poll") is None
    assert await live.leaderboard(10) is None
    assert await live.ping() is False
    await live.publish_results([results(1)])
    await live.unwatch("poll")
    await live.close()
    assert heard.connected == 0


def test_the_publisher_without_redis_keeps_what_it_owes(valkey: Servers, redis_url: str) -> None:
    assert valkey.redis
    valkey.redis.kill()
    publisher = LivePublisher(redis_url, timeout=PATIENCE)
    publisher.results([results(1, "a"), results(1, "b")])
    publisher.results([results(2, "a")])
    publisher.leaderboard(board(1), changed=True)
    valkey.redis.start()
    client = redis.Redis.from_url(redis_url)
    ears = client.pubsub(ignore_subscribe_messages=True)
    ears.psubscribe("polling:*")
    ears.get_message(timeout=5)
    time.sleep(1.1)
    publisher.results([results(9, "c")])
    publisher.leaderboard(board(2), changed=False)
    told: list[Results] = []
    boards = 0
    deadline = time.monotonic() + 30
    while (len(told) < 3 or not boards) and time.monotonic() < deadline:
        message = ears.get_message(timeout=1)
        if message and message["channel"] == channels.LEADERBOARD.encode():
            boards += 1
        elif message:
            told += channels.read_results(message["data"])
    assert sorted(told, key=lambda one: one.poll_id) == [results(2, "a"), results(1, "b"), results(9, "c")]
    assert boards == 1
    ears.close()
    client.close()
    publisher.close()
