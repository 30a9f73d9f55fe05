"""The integration tests: kill -9 and restarts under load: every 202 is counted once, and tallies equal a recount."""

from __future__ import annotations

import asyncio
import math
import os
import signal
from collections.abc import Callable

import pytest
from support.load import Load, audit
from support.polls import accepted, counted, create, results
from support.sockets import Frame, Socket, socket
from support.system import System
from support.waiting import until

VOTES = 150
"""Votes between two blows."""


async def watched(system: System, poll_id: str, work: Callable[[], None]) -> None:
    """Does the work in a thread while a socket watches the poll; its last snapshot must be what can be read."""
    async with socket(f"{system.ws_url}?poll={poll_id}") as one:
        hearing = asyncio.create_task(_hear_all(one))
        try:
            await asyncio.to_thread(work)
            read = await asyncio.to_thread(lambda: system.client.get(f"/api/polls/{poll_id}").expect(200))
            async with asyncio.timeout(60):
                while _results(one)[-1]["revision"] != read["revision"]:
                    await asyncio.sleep(0.05)
        finally:
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)
    last = _results(one)[-1]
    assert (last["total_votes"], last["options"]) == (read["total_votes"], read["options"])
    revisions = [frame["revision"] for frame in _results(one)]
    assert revisions == sorted(revisions)


def _results(one: Socket) -> list[Frame]:
    return [frame for frame in one.heard if frame["type"] == "results"]


async def _hear_all(one: Socket) -> None:
    while True:
        # Nothing comes while nobody counts, and a restart takes its time: whoever waits for a frame has a limit.
        await one.hear(patience=math.inf)


@pytest.mark.parametrize("parts", [["worker"], ["bridge"], ["worker", "bridge"]], ids="+".join)
async def test_killed_in_the_middle_of_a_load(whole: System, parts: list[str]) -> None:
    polls = [create(whole.client) for _ in range(3)]

    def work() -> None:
        with Load(whole, *polls) as load:
            for _ in range(2):
                load.until_more(VOTES)
                for part in parts:
                    whole.kill(part)
                load.until_more(VOTES)
                for part in parts:
                    whole.spawn(part)
            load.until_more(VOTES)
        assert not load.unanswered, "the door was never away"
        audit(whole, load)

    await watched(whole, polls[0].id, work)


def test_a_workers_child_is_killed(whole: System) -> None:
    """Celery would take its task for done; the bridge hands it out again."""
    poll = create(whole.client)
    with Load(whole, poll) as load:
        for _ in range(3):
            load.until_more(VOTES)
            before = set(whole.children("worker"))
            victim = min(before)
            os.kill(victim, signal.SIGKILL)
            until(
                lambda before=before: len(set(whole.children("worker")) - before) >= 1,  # type: ignore[misc]
                "the worker has another child",
            )
        load.until_more(VOTES)
    audit(whole, load)


def test_the_door_is_killed(whole: System) -> None:
    """Who has no answer sends the vote again with its key, and it counts once."""
    poll = create(whole.client)
    with Load(whole, poll, keyed_only=True) as load:
        for _ in range(2):
            load.until_more(VOTES)
            whole.kill("api")
            whole.spawn("api")
            whole.until_ready(["api"])
        load.until_more(VOTES)
    assert not load.refused
    audit(whole, load)


def test_restarted_under_load(whole: System) -> None:
    poll = create(whole.client)
    with Load(whole, poll) as load:
        for part in ("bridge", "worker", "beat", "flower"):
            load.until_more(VOTES)
            whole.restart(part)
        load.until_more(VOTES)
    assert not load.unanswered, "the door was never away"
    assert not load.refused
    audit(whole, load)


def test_a_worker_restarted_again_and_again(whole: System) -> None:
    """As the same member of its group, before anybody missed it: each time it has all its queues."""
    poll = create(whole.client)
    for votes in (1, 2):
        whole.restart("worker")
        accepted(whole.client, poll)
        counted(whole.client, poll, votes, 0)


async def test_the_door_restarts_under_load(whole: System) -> None:
    """Requests under way get their answers, and sockets are told to come back."""
    poll = create(whole.client)
    async with socket(f"{whole.ws_url}?poll={poll.id}") as one:
        await one.hear_of("results")

        def work() -> Load:
            with Load(whole, poll, keyed_only=True) as load:
                load.until_more(VOTES)
                whole.restart("api")
                load.until_more(VOTES)
            return load

        working = asyncio.create_task(asyncio.to_thread(work))
        assert await one.close_code() == 1012
        load = await working
    await asyncio.to_thread(audit, whole, load)


def test_two_of_each(whole: System) -> None:
    """Two doors, two bridges and two workers share the load; one of each is killed."""
    for part in ("api", "bridge", "worker"):
        whole.spawn(part, under=f"{part}-2", NODE_NAME="tests-2")
    whole.until_ready(["api-2", "bridge-2", "worker-2"])
    poll = create(whole.client)
    with Load(whole, poll) as load, Load(whole, poll, door="api-2", keyed_only=True) as other:
        load.until_more(VOTES)
        other.until_more(VOTES)
        for part in ("bridge", "worker"):
            whole.kill(part)
        load.until_more(VOTES)
    for part in ("bridge-2", "worker-2"):
        assert whole.alive(part)
    load.accepted[poll.id].update(other.accepted[poll.id])
    audit(whole, load)
    for part in ("api-2", "bridge-2", "worker-2"):
        whole.end(part)


def test_nothing_is_lost_that_waited_in_the_log(whole: System) -> None:
    """Votes that are accepted while nobody counts are counted when somebody does."""
    poll = create(whole.client)
    for part in ("bridge", "worker", "beat"):
        whole.kill(part)
    for number in range(40):
        accepted(whole.client, poll, str(1 + number % 2))
    assert results(whole.client, poll)["total_votes"] == 0
    for part in ("worker", "bridge", "beat"):
        whole.spawn(part)
    counted(whole.client, poll, 20, 20)
