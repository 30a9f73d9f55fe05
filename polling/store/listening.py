"""Step 5 of 7, store: hears which ranges of the log were counted, by LISTEN, and connects again by itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import psycopg

from polling.core.votes import COUNTED_CHANNEL, Covered, read_note
from polling.telemetry import logger

log = logger(__name__)

_SILENCE = 5.0  # seconds without a notification after which the connection is tried
_RETRY = 1.0


class Listener:
    """Calls `on_counted` with each batch's ranges, and `on_connected` whenever some may have been missed.

    An empty list of ranges means: something was counted, look for yourself.
    """

    def __init__(
        self,
        database_url: str,
        on_counted: Callable[[list[Covered]], None],
        on_connected: Callable[[], None],
    ) -> None:
        self._url = database_url
        self._on_counted = on_counted
        self._on_connected = on_connected
        self._task: asyncio.Task[None] | None = None
        self.connected = False

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="listen counted")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except (psycopg.Error, OSError) as error:
                if self.connected:
                    log.warning("listening was interrupted", error=type(error).__name__)
                self.connected = False
            await asyncio.sleep(_RETRY)

    async def _listen(self) -> None:
        connection = await psycopg.AsyncConnection.connect(
            self._url, autocommit=True, connect_timeout=5, tcp_user_timeout=10_000, keepalives_idle=5
        )
        async with connection:
            await connection.execute(f"LISTEN {COUNTED_CHANNEL}")
            self.connected = True
            self._on_connected()
            while True:
                async for notification in connection.notifies(timeout=_SILENCE):
                    self._on_counted(read_note(notification.payload))
                await connection.execute("SELECT 1")
