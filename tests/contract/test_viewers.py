"""The contract's tests: how many sockets watch a poll, for those who want to know."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from support.http import Client
from support.polls import Made, accepted, counted
from support.sockets import Socket, socket
from support.system import System


async def watch(one: Socket, poll: Made) -> None:
    await one.say(type="subscribe", poll=poll.id, viewers=True)


async def number(one: Socket, poll: Made, viewers: int) -> None:
    """Waits until it was told that so many watch."""
    frame = await one.hear_of("viewers", lambda frame: frame["viewers"] == viewers)
    assert frame == {"type": "viewers", "poll_id": poll.id, "viewers": viewers}


async def test_at_once_and_then_as_they_come_and_go(system: System, poll: Made) -> None:
    async with socket(system.ws_url) as one:
        await watch(one, poll)
        await number(one, poll, 1)
        async with socket(f"{system.ws_url}?poll={poll.id}") as plain, socket(system.ws_url) as other:
            await number(one, poll, 2)
            await watch(other, poll)
            await number(other, poll, 3)
            await number(one, poll, 3)
            assert await other.answer_to(type="unsubscribe", poll=poll.id) == {"type": "unsubscribed", "poll": poll.id}
            await number(one, poll, 2)
            assert await plain.is_alive()
            assert not [frame for frame in plain.heard if frame["type"] == "viewers"], "who does not ask is not told"
        await number(one, poll, 1)


async def test_over_all_doors(system: System, strict_door: System, poll: Made) -> None:
    """Each of them tells the others; one that is killed is forgotten."""
    there = f"{strict_door.url_of('api-guarded').replace('http', 'ws')}/"
    async with socket(system.ws_url) as here:
        await watch(here, poll)
        await number(here, poll, 1)
        async with socket(there) as one, socket(there) as other:
            for socket_there in (one, other):
                await watch(socket_there, poll)
            await number(here, poll, 3)
            await number(one, poll, 3)
        await number(here, poll, 1)


async def test_it_is_said_no_more_than_once_a_second(system: System, client: Client, poll: Made) -> None:
    """And nothing where nothing changed, whatever else does."""
    async with socket(system.ws_url) as one:
        await watch(one, poll)
        await number(one, poll, 1)
        for _ in range(3):
            async with socket(f"{system.ws_url}?poll={poll.id}") as passing:
                await passing.hear_of("results")
        accepted(client, poll)
        counted(client, poll, 1, 0)
        await asyncio.sleep(2.5)
        assert await one.is_alive()
        told = [frame["viewers"] for frame in one.heard if frame["type"] == "viewers"]
        assert all(before != after for before, after in pairwise(told)), told
        assert await one.answer_to(type="unsubscribe", poll=poll.id)
        async with socket(f"{system.ws_url}?poll={poll.id}") as passing:
            await passing.hear_of("results")
            await asyncio.sleep(1.5)
        assert await one.is_alive()
        assert one.heard[-1] == {"type": "pong"}
        assert len([frame for frame in one.heard if frame["type"] == "viewers"]) == len(told)


async def test_a_deleted_poll_has_none(system: System, client: Client, poll: Made) -> None:
    async with socket(system.ws_url) as one:
        await watch(one, poll)
        await number(one, poll, 1)
        client.delete(poll.path, **poll.admin).expect(204)
        await one.hear_of("deleted")
        assert (await one.answer_to(type="subscribe", poll=poll.id, viewers=True))["code"] == "poll_not_found"
