"""Step 1 of 7, accept: one connection after the other, one request after the other: by the fast lane, or by Tornado."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import Callable
from typing import Any

from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters
from tornado.iostream import IOStream, StreamClosedError, UnsatisfiableReadError
from tornado.tcpserver import TCPServer

from polling import telemetry
from polling.api import headers
from polling.api.front import NO_LIMIT, Message
from polling.api.lane import MAX_BODY, MAX_HEAD, Head, Lane
from polling.api.services import Services
from polling.core.errors import BadRequest

log = telemetry.logger(__name__)

IDLE = 75.0
"""Seconds after which a connection on which nothing is asked is closed."""

SLOW = 20.0
"""Seconds in which a request that has begun must have said all its headers, and again all its body."""

_READ = 8 * 1024
_BARE = b"HTTP/1.1 400 Bad Request\r\n\r\n"
_HEAD = 32 * 1024
_BLANK = re.compile(rb"\r?\n\r?\n")
_LINGER = 2.0
_BUFFER = 4 * 1024 * 1024
_PARAMETERS = HTTP1ConnectionParameters(
    chunk_size=64 * 1024,
    max_header_size=_HEAD + _READ,
    header_timeout=SLOW,
    body_timeout=SLOW,
    max_body_size=NO_LIMIT,
)


class MalformedRequest(BadRequest):
    """Shares the code of all that cannot be read."""

    title, sentence = "Malformed request", "The request is not valid HTTP/1.1."

    @property
    def headers(self) -> dict[str, str]:
        return {"Connection": "close"}


class HeadTooLarge(MalformedRequest):
    status, title = 431, "Request header fields too large"
    sentence = f"The head of a request may have {_HEAD:,} bytes at most."


class DoorStream(IOStream):
    """A connection whose bytes can be put back: the lane looks first, Tornado reads what the lane leaves."""

    def __init__(self, connected: socket.socket) -> None:
        super().__init__(connected, max_buffer_size=_BUFFER, read_chunk_size=_READ)
        self._put_back = b""
        self.idle_since: float | None = None

    def put_back(self, data: bytes) -> None:
        """Has these bytes read again, before any other. Nothing else may be left in the buffer."""
        self._put_back = data

    def write(self, data: bytes | memoryview) -> asyncio.Future[None]:
        """Tornado's bare answer to what is no HTTP, which it gives before any handler, becomes a problem document."""
        return super().write(headers.problem_response(MalformedRequest()) if data == _BARE else data)

    def read_from_fd(self, buf: bytearray | memoryview) -> int | None:
        if not self._put_back:
            return super().read_from_fd(buf)
        count = min(len(buf), len(self._put_back))
        buf[:count] = self._put_back[:count]
        self._put_back = self._put_back[count:]
        return count

    def send_all(self, data: bytes) -> None:
        """Straight to the socket; what the kernel does not take waits in the stream."""
        sent = 0
        if not self.writing() and self.socket is not None:
            try:
                sent = self.socket.send(data)
            except BlockingIOError:
                sent = 0
            except OSError as error:
                self.close(exc_info=error)
        if sent < len(data):
            self.write(data[sent:])


class Context:
    """What Tornado's requests ask of their connection."""

    def __init__(self, address: Any) -> None:
        self.remote_ip = address[0] if isinstance(address, tuple) else "127.0.0.1"
        self.protocol = "http"

    def __str__(self) -> str:
        return str(self.remote_ip)


class Door(TCPServer):
    """The HTTP server. `make_message` makes the delegate that reads one request in Tornado's way."""

    def __init__(self, services: Services, make_message: Callable[[HTTP1Connection], Message]) -> None:
        super().__init__()
        self._services = services
        self._make_message = make_message
        self.lane = Lane(services)
        self._streams: set[DoorStream] = set()

    async def handle_stream(self, stream: IOStream, address: Any) -> None:
        door_stream = DoorStream(stream.socket)
        self._streams.add(door_stream)
        try:
            await self._serve(door_stream, Context(address))
        except (StreamClosedError, UnsatisfiableReadError):
            door_stream.close()
        except Exception:
            log.exception("a connection failed")
            door_stream.close()
        finally:
            self._streams.discard(door_stream)

    def close_connections(self) -> None:
        """Closes all that are left, whatever they do. Sockets that were upgraded are not among them."""
        for stream in list(self._streams):
            stream.close()

    def close_idle(self) -> None:
        """Closes those on which nothing was asked for long. To be called every few seconds."""
        limit = asyncio.get_running_loop().time() - IDLE
        for stream in list(self._streams):
            if stream.idle_since is not None and stream.idle_since < limit:
                stream.close()

    async def _serve(self, stream: DoorStream, context: Context) -> None:
        loop = asyncio.get_running_loop()
        stream.set_nodelay(True)
        said, head = b"", None
        while True:
            stream.idle_since = loop.time()
            data = await stream.read_bytes(_BUFFER, partial=True)
            stream.idle_since = loop.time() - IDLE + SLOW  # once a request: who says a byte now and then gets no more
            first, blank, rest = data.partition(b"\r\n\r\n")
            while not blank and not _BLANK.search(data):
                if len(data) > _HEAD:
                    await self._refuse_head(stream)
                    return
                data += await stream.read_bytes(_BUFFER, partial=True)
                first, blank, rest = data.partition(b"\r\n\r\n")
            if blank and first != said and len(first) <= MAX_HEAD:
                said, head = first, self.lane.read_head(first, context.remote_ip)
            if blank and first == said and head is not None:
                while len(rest) < head.length:
                    rest += await stream.read_bytes(MAX_BODY, partial=True)
                if await self._by_lane(stream, head, rest):
                    continue
                data = first + blank + rest
            stream.idle_since = None
            stream.put_back(data)
            connection = HTTP1Connection(stream, False, _PARAMETERS, context)
            if not await connection.read_response(self._make_message(connection)):
                return
            stream.set_nodelay(True)
            await asyncio.sleep(0)

    async def _refuse_head(self, stream: DoorStream) -> None:
        """Answers, and reads on for a moment, because a connection closed with bytes unread loses the answer."""
        stream.send_all(headers.problem_response(HeadTooLarge()))
        read = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LINGER):
                while read < _BUFFER:
                    read += len(await stream.read_bytes(_BUFFER, partial=True))
        stream.close()

    async def _by_lane(self, stream: DoorStream, head: Head, rest: bytes) -> bool:
        """Whether the lane has answered. What lies behind the body is put back."""
        stream.idle_since = None
        self._services.under_way.add(stream)
        try:
            answer = await self.lane.answer(head, rest[: head.length])
        finally:
            self._services.under_way.discard(stream)
        if answer is None:
            return False
        stream.send_all(answer)
        stream.put_back(rest[head.length :])
        return True
