"""Measuring: many WebSockets that only read, in a process of their own, so that their CPU is not the server's.

Run as `python -m bench.receivers HOST PORT PATH SOCKETS`. Says `ready` when all are connected, then, for each line
on standard input, how many frames with results have come by then; ends with its standard input.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from typing import cast

import uvloop

from bench import wire

RESULTS = b'"type":"results"'
_AT_ONCE = 50
_SETTLE = 1.0


class Receiver(asyncio.Protocol):
    """One socket. Frames arrive whole on the loopback; one that does not would be missed, not counted twice."""

    frames = 0
    lost = 0

    def __init__(self, request: bytes) -> None:
        self._request = request

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        Receiver.frames += data.count(RESULTS)
        if wire.PING in data:
            self._transport.write(wire.PONG)

    def connection_lost(self, exc: Exception | None) -> None:
        Receiver.lost += 1


async def main(host: str, port: int, path: str, sockets: int) -> None:
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    loop = asyncio.get_running_loop()
    request = wire.request(host, port, path)
    transports: list[asyncio.BaseTransport] = []
    for start in range(0, sockets, _AT_ONCE):
        connecting = [
            loop.create_connection(lambda: Receiver(request), host, port) for _ in range(min(_AT_ONCE, sockets - start))
        ]
        transports += [transport for transport, _ in await asyncio.gather(*connecting)]
    await asyncio.sleep(_SETTLE)
    print("ready", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        if Receiver.lost:
            sys.exit(f"{Receiver.lost} sockets were closed")
        print(Receiver.frames, flush=True)
    for transport in transports:
        transport.close()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
