"""Step 1 of 7, accept: one connection: its bytes can be put back, and what it waits for is known."""

from __future__ import annotations

import asyncio
import socket

from tornado.iostream import IOStream

from polling.api import headers
from polling.core.errors import BadRequest

BUFFER = 4 * 1024 * 1024
"""Bytes that a connection may hold unread."""

CHUNK = 8 * 1024
_BARE = b"HTTP/1.1 400 Bad Request\r\n\r\n"


class MalformedRequest(BadRequest):
    """Shares the code of all that cannot be read."""

    title, sentence = "Malformed request", "The request is not valid HTTP/1.1."

    @property
    def headers(self) -> dict[str, str]:
        return {"Connection": "close"}


class DoorStream(IOStream):
    """A connection whose bytes can be put back: the lane looks first, Tornado reads what the lane leaves.

    `idle_since` is when (by the loop's clock) it was last asked something, None while an answer is made.
    `behind_since` is since when an answer waits to be read by the peer, as far as `look` saw it.
    """

    def __init__(self, connected: socket.socket) -> None:
        super().__init__(connected, max_buffer_size=BUFFER, read_chunk_size=CHUNK)
        self.idle_since: float | None = None
        self.behind_since: float | None = None

    def put_back(self, data: bytes) -> None:
        """Has these bytes read again, before all that has come meanwhile: Tornado's stream reads on by itself, to
        notice that a peer has gone, and bytes put anywhere else would let one request overtake another.
        """
        self._read_buffer[:0] = data
        self._read_buffer_size += len(data)

    def write(self, data: bytes | memoryview) -> asyncio.Future[None]:
        """Tornado's bare answer to what is no HTTP, which it gives before any handler, becomes a problem document."""
        return super().write(headers.problem_response(MalformedRequest()) if data == _BARE else data)

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

    async def taken(self) -> None:
        """Returns when the kernel has taken all that was sent. Raises StreamClosedError."""
        if self.writing():
            await self.write(b"")
        self.behind_since = None

    def look(self, now: float) -> None:
        """Notices whether something waits to be read by the peer. To be called every second or so."""
        if not self.writing():
            self.behind_since = None
        elif self.behind_since is None:
            self.behind_since = now
