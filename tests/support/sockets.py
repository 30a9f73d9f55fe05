"""Tests: a WebSocket client (Tornado's), which keeps all it heard."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

PATIENCE = 30.0
"""Seconds that a frame may take to come."""

Frame = dict[str, Any]


class Socket:
    """One socket's other end. `heard` has every frame so far, in order."""

    def __init__(self, connection: WebSocketClientConnection) -> None:
        self._connection = connection
        self.heard: list[Frame] = []
        self._closed = False

    @property
    def headers(self) -> Mapping[str, str]:
        """Of the answer 101."""
        assert self._connection.headers is not None
        return self._connection.headers

    @property
    def cookie(self) -> str:
        """The cookie that came with the 101, ready to be sent back."""
        return self.headers["Set-Cookie"].partition(";")[0]

    async def say(self, **message: Any) -> None:
        await self.send(json.dumps(message))

    async def send(self, data: str | bytes) -> None:
        """A frame as it is; binary where it is bytes."""
        await self._connection.write_message(data, binary=isinstance(data, bytes))

    async def hear(self, patience: float = PATIENCE) -> Frame:
        """The next frame; fails where the socket closes instead."""
        text = await self._read(patience)
        assert text is not None, f"the socket was closed with {self._connection.close_code}"
        frame = json.loads(text)
        assert isinstance(frame, dict)
        self.heard.append(frame)
        return frame

    async def hear_of(self, kind: str, where: Callable[[Frame], object] = lambda frame: True) -> Frame:
        """The next frame of this type for which the condition holds; others are passed over."""
        while True:
            frame = await self.hear()
            if frame["type"] == kind and where(frame):
                return frame

    async def answer_to(self, **message: Any) -> Frame:
        """Says it; the next frame that is no push of results or of the leaderboard."""
        await self.say(**message)
        return await self.answer()

    async def answer(self) -> Frame:
        """The next frame that is no push."""
        while True:
            frame = await self.hear()
            if frame["type"] not in ("results", "leaderboard", "welcome"):
                return frame

    async def is_alive(self) -> bool:
        """Whether a ping is answered."""
        return await self.answer_to(type="ping") == {"type": "pong"}

    async def close_code(self) -> int | None:
        """Waits until the server has closed; the code."""
        while await self._read() is not None:
            pass
        return self._connection.close_code

    async def leave(self) -> None:
        """Closes, and waits until that is done."""
        self._connection.close()
        await self.close_code()

    async def _read(self, patience: float = PATIENCE) -> str | bytes | None:
        """The next frame, None once the socket has closed."""
        if self._closed:
            return None
        # Not wait_for, which loses a cancellation that comes together with the frame.
        async with asyncio.timeout(None if math.isinf(patience) else patience):
            text = await self._connection.read_message()
        self._closed = text is None
        return text


@asynccontextmanager
async def socket(url: str, **headers: str) -> AsyncIterator[Socket]:
    """An open socket; `headers` of its request, `_` for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection = await websocket_connect(HTTPRequest(url, headers=named, request_timeout=PATIENCE))
    opened = Socket(connection)
    try:
        yield opened
    finally:
        await opened.leave()
