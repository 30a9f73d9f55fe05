"""What the sockets show while a server is away, and what slow readers cost, on real servers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from socket_door import Client, Door, until
from tornado.iostream import IOStream

from polling.core.polls import Poll
from polling.local.servers import Servers
from websocket import care, close_codes
from websocket.care import Care
from websocket.close_codes import CloseCode
from websocket.outbox import Outbox
from websocket.viewer import Viewer


async def test_what_changed_while_redis_was_away_is_shown_when_it_is_back(door: Door, all_servers: Servers) -> None:
    assert all_servers.redis
    poll, later = await door.poll(), await door.poll()
    client = await door.connect(f"?poll={poll.id}")
    assert (await client.hear_of("results"))["revision"] == 0
    all_servers.redis.kill()
    door.store_count(poll, 1, 1, 0)
    await client.say(type="subscribe", poll=later.id)
    assert (await client.hear_of("results"))["poll_id"] == later.id
    await client.say(type="vote", poll=poll.id, option="A", ref=1)
    assert (await client.hear_of("vote"))["status"] == "accepted"
    door.store_count(later, 1, 0, 1)
    await asyncio.to_thread(all_servers.redis.start)
    shown = {}
    while len(shown) < 2:
        frame = await client.hear_of("results", lambda one: one["revision"] == 1)
        shown[frame["poll_id"]] = frame["total_votes"]
    assert shown == {poll.id: 1, later.id: 1}
    revision = 1
    while True:
        # The publisher may still leave Redis alone.
        revision += 1
        door.count(later, revision, 0, revision)
        if (await client.hear_of("results"))["revision"] > 1:
            return


async def test_a_redis_that_hangs_holds_no_snapshot_back(door: Door, all_servers: Servers) -> None:
    assert all_servers.redis
    assert all_servers.redis.pid
    poll = await door.poll()
    client = await door.connect()
    os.kill(all_servers.redis.pid, signal.SIGSTOP)
    try:
        await client.say(type="subscribe", poll=poll.id)
        assert (await client.hear_of("results"))["revision"] == 0
        door.store_count(poll, 1, 1, 0)
    finally:
        os.kill(all_servers.redis.pid, signal.SIGCONT)
    assert (await client.hear_of("results"))["revision"] == 1


async def test_without_postgres_a_poll_cannot_be_shown_and_the_socket_stays(door: Door, all_servers: Servers) -> None:
    assert all_servers.postgres
    known, unknown = await door.poll(), await door.poll()
    await door.services.book.get(known.id)
    watched = await door.poll()
    client = await door.connect(f"?poll={watched.id}")
    await client.hear_of("results")
    all_servers.postgres.kill()
    for poll in (known, unknown):
        await client.say(type="subscribe", poll=poll.id)
        error = await client.hear_of("error")
        assert (error["code"], error["poll"]) == ("store_unavailable", poll.id)
    await client.say(type="vote", poll=known.id, option="A", ref="known")
    assert (await client.hear_of("vote"))["ref"] == "known"
    await asyncio.to_thread(all_servers.postgres.start)
    async with asyncio.timeout(60):
        while (answer := await told_of(client, unknown))["type"] != "results":
            await asyncio.sleep(0.1)
    assert answer["poll_id"] == unknown.id


async def told_of(client: Client, poll: Poll) -> Any:
    """What a socket hears when it wants to see a poll."""
    await client.say(type="subscribe", poll=poll.id)
    return await client.hear()


@pytest.fixture
def frequent_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("websocket.hub.READ_AGAIN", 0.2)


@pytest.mark.usefixtures("frequent_readings")
async def test_a_lost_message_is_made_good(door: Door) -> None:
    poll = await door.poll()
    client = await door.connect(f"?poll={poll.id}")
    await client.hear_of("results")
    door.store_count(poll, 1, 1, 0)
    assert (await client.hear_of("results"))["revision"] == 1


@pytest.fixture
def rare_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read again by itself, neither after a while nor because Redis took its time to confirm."""
    monkeypatch.setattr("websocket.hub.READ_AGAIN", 3600.0)
    monkeypatch.setattr("websocket.hub.WATCH_PATIENCE", 30.0)


@pytest.mark.usefixtures("rare_readings")
async def test_many_polls_are_read_by_few_queries(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    polls = [await door.poll() for _ in range(60)]
    for poll in polls:
        await door.services.book.get(poll.id)
    queries = []
    original = door.services.store.results

    async def counted(asked):  # type: ignore[no-untyped-def]
        queries.append(len(asked))
        return await original(asked)

    monkeypatch.setattr(door.services.store, "results", counted)
    clients = [await door.connect() for _ in range(3)]
    for poll in polls:
        for client in clients:
            await client.say(type="subscribe", poll=poll.id)
    for client in clients:
        assert {(await client.hear_of("results"))["poll_id"] for _ in polls} == {poll.id for poll in polls}
    assert sum(queries) == len(polls), "one reading for each poll, however many ask"
    queries.clear()
    door.hub._read_again()
    await until(lambda: sum(queries) == len(polls))
    assert len(queries) == 1


async def test_a_reader_that_does_not_read_is_closed_and_costs_little(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(care, "SLOW_AFTER", 1.0)
    poll = await door.poll(*("x" * 190 + str(number) for number in range(100)))
    slow = socket.create_connection(("127.0.0.1", door.port))
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.sendall(
        f"GET /?poll={poll.id} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    quick = await door.connect(f"?poll={poll.id}")
    await until(lambda: len(door.hub._viewers) == 2)
    revision = 0
    while len(door.hub._viewers) == 2:
        revision += 1
        assert revision < 1000, "the slow one was never closed"
        door.count(poll, revision, *([revision] * 100))
        await quick.hear_of("results", lambda frame, wanted=revision: frame["revision"] == wanted)
        for viewer in door.hub._viewers:
            assert len(viewer.outbox._waiting) <= 2
    slow.close()


async def test_frames_stay_whole_between_pongs_for_a_reader_that_stalls(door: Door) -> None:
    poll = await door.poll(*("x" * 190 + str(number) for number in range(100)))
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port, limit=4096)
    writer.write(
        f"GET /?poll={poll.id} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    last = 0
    while not any(viewer.outbox.behind for viewer in door.hub._viewers):
        last += 1
        assert last < 3000, "it never stalled"
        writer.write(b"\x89\x84\0\0\0\0ping")
        door.count(poll, last, *([last] * 100))
        await asyncio.sleep(0.02)
    for _ in range(5):
        last += 1
        writer.write(b"\x89\x84\0\0\0\0ping")
        door.count(poll, last, *([last] * 100))
        await asyncio.sleep(0.12)
    revision, pongs = 0, 0
    while revision < last:
        opcode, length = await asyncio.wait_for(reader.readexactly(2), 30)
        if length == 126:
            length = int.from_bytes(await reader.readexactly(2))
        elif length == 127:
            length = int.from_bytes(await reader.readexactly(8))
        payload = await asyncio.wait_for(reader.readexactly(length), 30)
        if opcode == 0x8A:
            assert payload == b"ping"
            pongs += 1
            continue
        if opcode == 0x89:
            # The door's own, one in thirty seconds.
            writer.write(b"\x8a\x80\0\0\0\0")
            continue
        assert opcode == 0x81
        frame = json.loads(payload)
        if frame["type"] == "results":
            assert frame["revision"] >= revision
            revision = frame["revision"]
            assert frame["total_votes"] == 100 * revision
    assert pongs
    writer.close()
    await writer.wait_closed()


@dataclass
class Watched:
    viewer: Viewer
    peer: socket.socket
    stream: IOStream
    closed: list[CloseCode]


@pytest_asyncio.fixture
async def watched() -> AsyncIterator[Watched]:
    ours, peer = socket.socketpair()
    stream = IOStream(ours)
    closed: list[CloseCode] = []
    outbox = Outbox(stream, asyncio.get_running_loop().time, lambda: None)
    yield Watched(Viewer(outbox, closed.append), peer, stream, closed)
    stream.close()
    peer.close()


async def test_pings_come_once_a_round_and_who_is_silent_is_closed(watched: Watched) -> None:
    looks = Care([watched.viewer])
    for _ in range(care.ROUND):
        looks.look(0.0)
    assert watched.peer.recv(100) == b"\x89\x00"
    watched.viewer.unanswered = False
    for _ in range(care.ROUND):
        looks.look(0.0)
    assert watched.peer.recv(100) == b"\x89\x00"
    assert not watched.closed
    for _ in range(care.ROUND):
        looks.look(0.0)
    assert watched.closed == [close_codes.NO_PONG]


async def test_a_stalled_reader_is_closed_after_a_while(watched: Watched) -> None:
    while not watched.viewer.outbox.behind:
        watched.viewer.outbox.show("a", b"x" * 100_000)
    since = watched.viewer.outbox.stalled_since
    assert since is not None
    looks = Care([watched.viewer])
    looks.look(since + care.SLOW_AFTER - 0.1)
    assert not watched.closed
    looks.look(since + care.SLOW_AFTER + 0.1)
    assert watched.closed == [close_codes.SLOW_READER]


async def test_a_client_that_answers_pings_stays(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await door.connect()
    [viewer] = door.hub._viewers
    for _ in range(3):
        for _ in range(care.ROUND):
            door.hub._care.look(0.0)
        await until(lambda: not viewer.unanswered)
    await client.say(type="ping")
    assert await client.hear() == {"type": "pong"}


def test_close_codes_are_named_once_and_short_enough() -> None:
    codes = [code.code for code in close_codes.ALL]
    assert len(set(codes)) == len(codes)
    for code in close_codes.ALL:
        # A control frame has 125 bytes at most, two of them the code (RFC 6455, 5.5).
        assert len(struct.pack("!H", code.code) + code.text(123_456_789).encode()) <= 125
        assert 1000 <= code.code < 5000


def test_the_more_sockets_are_closed_the_longer_they_take_to_come_back() -> None:
    few = [close_codes.come_back_after(10, chance / 100) for chance in range(101)]
    assert (few[0], few[-1]) == (500, 2500)
    assert few == sorted(few)
    assert len(set(few)) == len(few)
    assert close_codes.come_back_after(20_000, 1.0) == 20_500
