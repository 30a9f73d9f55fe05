"""Step 7 of 7, show: RFC 6455 as Tornado speaks it, but for two cases in which Tornado just hangs up; and it tells
the outbox of Tornado's own frames (pong and close), so that none is cut in two.

A frame that is too big, or is none: Tornado closes the TCP connection while the peer still sends, so that the peer
meets a reset and may never read the close frame; for what is no frame it does not even send one. Here it is told why,
and what it sends is read and thrown away for a moment first.
A text frame that is not UTF-8: Tornado aborts. Here it is one bad frame, and answered as one.
Pings, pongs and fragments: Tornado takes any number. Here they are counted like other frames.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable
from typing import Any, Protocol, cast

from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketProtocol13

from websocket.close_codes import PROTOCOL_ERROR, TOO_BIG

LINGER = 2.0
"""Seconds in which the peer may finish sending and read why it was closed."""

CHUNK = 64 * 1024
TEXT, BINARY, CLOSE = 0x1, 0x2, 0x8
_TOLD = (TOO_BIG.code, PROTOCOL_ERROR.code)


class _Handler(Protocol):
    def on_malformed_text(self) -> Awaitable[None] | None: ...

    def on_other_frame(self) -> Awaitable[None] | None: ...

    def on_frame_written(self) -> None: ...


class Protocol13(WebSocketProtocol13):
    """For one connection."""

    _lingering: asyncio.Task[None] | None = None
    _reading = False
    _message = False

    @property
    def _ours(self) -> _Handler:
        return cast(_Handler, self.handler)

    def _write_frame(self, fin: bool, opcode: int, data: bytes, flags: int = 0) -> asyncio.Future[None]:
        written = super()._write_frame(fin, opcode, data, flags)
        self._ours.on_frame_written()
        return written

    async def _receive_frame(self) -> None:
        self._reading, self._message = True, False
        await super()._receive_frame()
        self._reading = False
        if not self._message and not self.client_terminated:
            held_back = self._ours.on_other_frame()
            if held_back is not None:
                await held_back

    def _handle_message(self, opcode: int, data: bytes) -> Any:
        if opcode in (TEXT, BINARY):
            self._reading, self._message = False, True
        if opcode == TEXT and not self.client_terminated and not _is_utf8(data):
            return self._run_callback(self._ours.on_malformed_text)
        if opcode == CLOSE and not _is_close(data):
            self._abort()
            return None
        return super()._handle_message(opcode, data)

    def close(self, code: int | None = None, reason: str | None = None) -> None:
        if code in _TOLD and not self.client_terminated and self._lingering is None:
            super().close(code, reason)
            self._lingering = asyncio.create_task(self._linger(), name="socket-linger")
            return
        super().close(code, reason)

    def _abort(self) -> None:
        if self._reading and not self.client_terminated and not self.server_terminated and not self.stream.closed():
            # Tornado gives up on what it reads without a word, unless it was too big.
            self.close(PROTOCOL_ERROR.code, PROTOCOL_ERROR.reason)
        self.client_terminated = True
        self.server_terminated = True
        # Tornado aborts right after it has closed for a frame that is too big; the stream is closed by `_linger`.
        if self._lingering is None:
            super()._abort()

    async def _linger(self) -> None:
        try:
            async with asyncio.timeout(LINGER):
                while True:
                    await self.stream.read_bytes(CHUNK, partial=True)
        except (StreamClosedError, TimeoutError):
            return
        finally:
            self._lingering = None
            super()._abort()


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_close(data: bytes) -> bool:
    """Whether this is what a close frame may carry: nothing, or a code that may be sent and a text (RFC 6455, 7.4)."""
    if not data:
        return True
    if len(data) < 2 or not _is_utf8(data[2:]):
        return False
    code = int(struct.unpack("!H", data[:2])[0])
    return 3000 <= code < 5000 or (1000 <= code < 1015 and code not in (1004, 1005, 1006))
