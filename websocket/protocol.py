"""Step 7 of 7, show: RFC 6455 as Tornado speaks it, but for two cases in which Tornado just hangs up; and it tells
the outbox of Tornado's own frames (pong and close), so that none is cut in two.

A frame that is too big: Tornado closes the TCP connection while the peer still sends, so that the peer meets a reset
and may never read the close frame. Here what it sends is read and thrown away for a moment first.
A text frame that is not UTF-8: Tornado aborts. Here it is one bad frame, and answered as one.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol, cast

from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketProtocol13

LINGER = 2.0
"""Seconds in which the peer may finish sending and read why it was closed."""

CHUNK = 64 * 1024
TEXT = 0x1


class _Handler(Protocol):
    def on_malformed_text(self) -> None: ...

    def on_frame_written(self) -> None: ...


class Protocol13(WebSocketProtocol13):
    """For one connection."""

    _lingering: asyncio.Task[None] | None = None

    @property
    def _ours(self) -> _Handler:
        return cast(_Handler, self.handler)

    def _write_frame(self, fin: bool, opcode: int, data: bytes, flags: int = 0) -> asyncio.Future[None]:
        written = super()._write_frame(fin, opcode, data, flags)
        self._ours.on_frame_written()
        return written

    def _handle_message(self, opcode: int, data: bytes) -> Any:
        if opcode == TEXT and not self.client_terminated and not _is_utf8(data):
            return self._run_callback(self._ours.on_malformed_text)
        return super()._handle_message(opcode, data)

    def close(self, code: int | None = None, reason: str | None = None) -> None:
        if code == 1009 and not self.client_terminated and self._lingering is None:
            super().close(code, reason)
            self._lingering = asyncio.create_task(self._linger(), name="socket-linger")
            return
        super().close(code, reason)

    def _abort(self) -> None:
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
