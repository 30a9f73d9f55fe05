"""Measuring: kept connections to the door, for posting at a steady rate: no client library comes between."""

from __future__ import annotations

import asyncio
import json
import socket
from types import TracebackType
from typing import Any

from bench.system import BenchError


class Connections:
    """So many connections; `post` takes a free one, and waits for one where there is none."""

    def __init__(self, address: tuple[str, int], path: str, count: int) -> None:
        self._address = address
        self._count = count
        self._free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
        self._writers: list[asyncio.StreamWriter] = []
        self._head = (
            f"POST {path} HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\nContent-Type: application/json\r\n"
            "Content-Length: "
        ).encode()

    async def __aenter__(self) -> Connections:
        for _ in range(self._count):
            reader, writer = await asyncio.open_connection(*self._address)
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._writers.append(writer)
            self._free.put_nowait((reader, writer))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for writer in self._writers:
            writer.close()

    async def post(self, body: bytes) -> dict[str, Any]:
        """The answer's JSON.

        Raises:
            BenchError: it was no 202.
        """
        reader, writer = await self._free.get()
        writer.write(self._head + str(len(body)).encode() + b"\r\n\r\n" + body)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        answer = await reader.readexactly(int(length.partition(b":")[2]))
        self._free.put_nowait((reader, writer))
        if not head.startswith(b"HTTP/1.1 202"):
            raise BenchError(f"a vote was answered {head.splitlines()[0]!r}: {answer[:200]!r}")
        decoded: dict[str, Any] = json.loads(answer)
        return decoded
