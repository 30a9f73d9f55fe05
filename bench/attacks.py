"""Measuring: `python -m bench.attacks NAME PORT POLL`: one attack on a door, until standard input ends.

Each is what one machine may do all day. It comes from 127.0.0.2, so that the limits take it for somebody else than the
users. Loads have a bound: connections, and steps a second.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import secrets
import sys
from collections.abc import Awaitable, Callable
from typing import NamedTuple

FROM = ("127.0.0.2", 0)
_FLOOD = 200

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Target(NamedTuple):
    port: int
    poll: str

    async def connect(self) -> Stream:
        return await asyncio.open_connection("127.0.0.1", self.port, local_addr=FROM)

    async def upgrade(self) -> Stream:
        """A WebSocket that watches the users' poll."""
        reader, writer = await self.connect()
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            f"GET /?poll={self.poll} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        await reader.readuntil(b"\r\n\r\n")
        return reader, writer

    def vote(self, option: str = "Python") -> bytes:
        body = b'{"option":"%b"}' % option.encode()
        return (
            f"POST /api/polls/{self.poll}/vote HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )


async def slow_heads(target: Target, number: int) -> None:
    """A byte of a head now and then; and again, when it is hung up on."""
    _, writer = await target.connect()
    for byte in target.vote():
        writer.write(bytes((byte,)))
        await writer.drain()
        await asyncio.sleep(2)


async def unread(target: Target, number: int) -> None:
    """Votes, one behind the other, whose answers are never read."""
    _reader, writer = await target.connect()
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    while True:
        writer.write(target.vote() * 50)
        await writer.drain()
        await asyncio.sleep(0.1)


async def over_the_limit(target: Target, number: int) -> None:
    """Votes beyond what its address may cast, as fast as they are refused."""
    reader, writer = await target.connect()
    while True:
        writer.write(target.vote())
        await reader.readuntil(b"}")


async def unknown_polls(target: Target, number: int) -> None:
    """Polls that are none: 100,000 of them in a few minutes."""
    reader, writer = await target.connect()
    while True:
        writer.write(b"GET /api/polls/%b HTTP/1.1\r\nHost: x\r\n\r\n" % secrets.token_hex(10).encode())
        await reader.readuntil(b"}")
        await asyncio.sleep(0.01)


async def frames(target: Target, number: int) -> None:
    """Pings and empty fragments, as fast as they are taken."""
    reader, writer = await target.upgrade()
    reading = asyncio.create_task(_read_on(reader))
    flood = (b"\x89\x80" + bytes(4)) if number % 2 else (b"\x00\x80" + bytes(4))
    if not number % 2:
        writer.write(b"\x01\x80" + bytes(4))
    try:
        while True:
            writer.write(flood * _FLOOD)
            await writer.drain()
    finally:
        reading.cancel()


async def deaf_sockets(target: Target, number: int) -> None:
    """Watches the users' poll, and reads nothing of it; comes back when it is closed."""
    _reader, writer = await target.upgrade()
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    while not writer.is_closing():
        writer.write(b"\x8a\x80" + bytes(4))
        await writer.drain()
        await asyncio.sleep(1)


async def reconnecting(target: Target, number: int) -> None:
    """Opens a socket, hears a snapshot, leaves without a word."""
    reader, writer = await target.upgrade()
    await reader.readuntil(b'"results"')
    writer.transport.abort()
    await asyncio.sleep(1)


async def large_bodies(target: Target, number: int) -> None:
    """Bodies at the limit that are hard to read: nested, or full of names that are none."""
    reader, writer = await target.connect()
    body = b"[" * 65_000 if number % 2 else b"{" + b",".join(b'"%05d":1' % n for n in range(6500)) + b"}"
    head = b"POST /api/polls HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    while True:
        writer.write(head % len(body) + body)
        await reader.readuntil(b'"code"')
        await asyncio.sleep(0.1)


class Attack(NamedTuple):
    """So many at once, each of which begins again when it ends or is hung up on."""

    words: str
    tasks: int
    run: Callable[[Target, int], Awaitable[None]]


ATTACKS = {
    "slow": Attack("1,000 connections with slow heads", 1000, slow_heads),
    "unread": Attack("100 connections that read no answers", 100, unread),
    "limited": Attack("4 connections that vote over their limit", 4, over_the_limit),
    "unknown": Attack("unknown polls, 400 a second at most", 4, unknown_polls),
    "frames": Attack("50 sockets that flood pings and fragments", 50, frames),
    "deaf": Attack("200 sockets that watch and never read", 200, deaf_sockets),
    "reconnect": Attack("200 sockets that reconnect each second", 200, reconnecting),
    "bodies": Attack("bodies that are hard to read, 40 a second", 4, large_bodies),
}


async def _read_on(reader: asyncio.StreamReader) -> None:
    while await reader.read(65536):
        pass


async def _attack(attack: Attack, target: Target) -> None:
    async def again(number: int) -> None:
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                await attack.run(target, number)
            await asyncio.sleep(0.2)

    tasks = [asyncio.create_task(again(number)) for number in range(attack.tasks)]
    print("attacking", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for task in tasks:
        task.cancel()


if __name__ == "__main__":
    asyncio.run(_attack(ATTACKS[sys.argv[1]], Target(int(sys.argv[2]), sys.argv[3])))
