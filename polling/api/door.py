"""Step 1 of 7, accept: one connection after the other, one request after the other: by the fast lane, or by Tornado."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import re
import resource
import socket
from collections.abc import Callable
from typing import Any

from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters
from tornado.iostream import StreamClosedError, UnsatisfiableReadError

from polling import telemetry
from polling.api import headers
from polling.api.front import NO_LIMIT, Message
from polling.api.heads import MAX_HEAD
from polling.api.lane import Head, Lane
from polling.api.reading_lane import Reading, ReadingLane
from polling.api.services import Services
from polling.api.stream import BUFFER, CHUNK, DoorStream, MalformedRequest

log = telemetry.logger(__name__)

IDLE = 75.0
"""Seconds after which a connection on which nothing is asked is closed."""

SLOW = 20.0
"""Seconds in which a request that has begun must have said all its headers, and again all its body."""

UNREAD = 20.0
"""Seconds in which a peer must have taken its answer. Meanwhile no other of its requests is read."""

HELD_BACK = 1.0
"""Seconds for which a connection is not read after a 429: no less than `Retry-After` asks for, so that only those feel
it who send on regardless. The network holds them back then, and refusing them costs others next to nothing."""

MAX_CONNECTIONS = 20_000
"""Connections of one process, sockets aside. With more, those go that were idle for longest."""

_SHED = 20
"""With too many connections a part of this size is closed at once, so that looking for them costs little each."""

_AT_ONCE = 128
_ACCEPT_PAUSE = 0.5
_OTHER_FILES = 128
_HEAD = 32 * 1024
_BLANK = re.compile(rb"\r?\n\r?\n")
_LINGER = 2.0
_PARAMETERS = HTTP1ConnectionParameters(
    chunk_size=64 * 1024,
    max_header_size=_HEAD + CHUNK,
    header_timeout=SLOW,
    body_timeout=SLOW,
    max_body_size=NO_LIMIT,
)


class HeadTooLarge(MalformedRequest):
    status, title = 431, "Request header fields too large"
    sentence = f"The head of a request may have {_HEAD:,} bytes at most."


class Context:
    """What Tornado's requests ask of their connection. `hold_back`: they had more of it than it may ask for."""

    def __init__(self, address: Any) -> None:
        self.remote_ip = address[0] if isinstance(address, tuple) else "127.0.0.1"
        self.protocol = "http"
        self.hold_back = False

    def __str__(self) -> str:
        return str(self.remote_ip)


class Door:
    """The HTTP server. `make_message` makes the delegate that reads one request in Tornado's way."""

    def __init__(self, services: Services, make_message: Callable[[HTTP1Connection], Message]) -> None:
        self._services = services
        self._make_message = make_message
        self.lane = Lane(services)
        self.reading_lane = ReadingLane(services)
        self._streams: set[DoorStream] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._listening: socket.socket | None = None
        # Half of the files that this process may open are for sockets that were upgraded.
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._room = max(16, min(MAX_CONNECTIONS, (files - _OTHER_FILES) // 2))

    def listen(self, listening: socket.socket) -> None:
        """Takes connections from a listening socket that does not block."""
        self._listening = listening
        self._accept_on()

    def stop(self) -> None:
        """Takes no more connections."""
        if self._listening is not None:
            asyncio.get_running_loop().remove_reader(self._listening)
            self._listening.close()
            self._listening = None

    def close_connections(self) -> None:
        """Closes all that are left, whatever they do. Sockets that were upgraded are not among them."""
        for stream in list(self._streams):
            stream.close()

    def close_idle(self) -> None:
        """Closes those on which nothing was asked, or whose answer was not read, for long. To be called each second."""
        now = asyncio.get_running_loop().time()
        for stream in list(self._streams):
            stream.look(now)
            idle, behind = stream.idle_since, stream.behind_since
            if (idle is not None and idle < now - IDLE) or (behind is not None and behind < now - UNREAD):
                stream.close()

    def _accept_on(self) -> None:
        if self._listening is not None:
            asyncio.get_running_loop().add_reader(self._listening, self._accept, self._listening)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                connected, address = listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                # Most likely there are no more files. The socket stays ready, so that without a pause this would spin.
                log.warning("no connection can be taken", error=error.strerror, connections=len(self._streams))
                self._shed()
                loop = asyncio.get_running_loop()
                loop.remove_reader(listening)
                loop.call_later(_ACCEPT_PAUSE, self._accept_on)
                return
            if len(self._streams) >= self._room:
                self._shed()
            stream = DoorStream(connected)
            self._streams.add(stream)
            task = asyncio.create_task(self._handle(stream, Context(address)))
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)

    def _shed(self) -> None:
        """Closes the connections that were idle for longest: who is new, or asks something, comes before them."""
        idle = [(stream.idle_since, id(stream), stream) for stream in self._streams if stream.idle_since is not None]
        for _, _, stream in heapq.nsmallest(max(1, len(self._streams) // _SHED), idle):
            stream.close()
            self._streams.discard(stream)

    async def _handle(self, stream: DoorStream, context: Context) -> None:
        try:
            await self._serve(stream, context)
        except (StreamClosedError, UnsatisfiableReadError):
            stream.close()
        except Exception:
            log.exception("a connection failed")
            stream.close()
        finally:
            self._streams.discard(stream)

    async def _serve(self, stream: DoorStream, context: Context) -> None:
        loop = asyncio.get_running_loop()
        stream.set_nodelay(True)
        said: bytes = b""
        head: Head | Reading | None = None
        while True:
            stream.idle_since = loop.time()
            data = await stream.read_bytes(BUFFER, partial=True)
            stream.idle_since = loop.time() - IDLE + SLOW  # once a request: who says a byte now and then gets no more
            first, blank, rest = data.partition(b"\r\n\r\n")
            while not blank and not _BLANK.search(data):
                if len(data) > _HEAD:
                    await self._refuse_head(stream)
                    return
                data += await stream.read_bytes(BUFFER, partial=True)
                first, blank, rest = data.partition(b"\r\n\r\n")
            if blank and first != said and len(first) <= MAX_HEAD:
                said = first
                head = self.lane.read_head(first, context.remote_ip) or self.reading_lane.read_head(first)
            if blank and first == said and head is not None:
                while len(rest) < head.length:
                    rest += await stream.read_bytes(BUFFER, partial=True)
                if await self._by_lane(stream, head, rest):
                    await stream.taken()
                    continue
                data = first + blank + rest
            stream.idle_since = None
            stream.put_back(data)
            connection = HTTP1Connection(stream, False, _PARAMETERS, context)
            if not await connection.read_response(self._make_message(connection)):
                return
            await stream.taken()
            stream.set_nodelay(True)
            await asyncio.sleep(HELD_BACK if context.hold_back else 0)
            context.hold_back = False

    async def _refuse_head(self, stream: DoorStream) -> None:
        """Answers, and reads on for a moment, because a connection closed with bytes unread loses the answer."""
        stream.send_all(headers.problem_response(HeadTooLarge()))
        read = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LINGER):
                while read < BUFFER:
                    read += len(await stream.read_bytes(BUFFER, partial=True))
        stream.close()

    async def _by_lane(self, stream: DoorStream, head: Head | Reading, rest: bytes) -> bool:
        """Whether a lane has answered. What lies behind the body is put back."""
        stream.idle_since = None
        self._services.under_way.add(stream)
        try:
            if isinstance(head, Reading):
                answer = await self.reading_lane.answer(head)
            else:
                answer = await self.lane.answer(head, rest[: head.length])
        finally:
            self._services.under_way.discard(stream)
        if answer is None:
            return False
        stream.send_all(answer)
        stream.put_back(rest[head.length :])
        return True
