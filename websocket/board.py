"""Step 7 of 7, show: the newest leaderboard, and the sockets that follow it."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime

from polling import telemetry
from polling.core.errors import StoreUnavailable
from polling.core.leaderboard import Leaderboard
from polling.live import Live
from polling.store.door import Store
from websocket import frames
from websocket.broadcast import broadcast
from websocket.viewer import Viewer

log = telemetry.logger(__name__)

ENTRIES = 10
"""Entries shown on a socket: as many as the HTTP answer has where nobody asks for more."""

FIRST_WAIT = 1.0
READ_AGAIN = 10.0
"""Seconds between two readings, in case that a message got lost without a trace."""

SUBJECT = "leaderboard of all"
"""No poll id has spaces."""


class Board:
    """Keeps the newest leaderboard as a ready-made frame; shows it again only where its entries changed."""

    def __init__(self, live: Live, store: Store) -> None:
        self._live = live
        self._store = store
        self._followers: dict[Viewer, None] = {}
        self._newest: Leaderboard | None = None
        self._told_at: datetime | None = None
        self._frame: bytes | None = None
        self._reading: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Waits a moment for the first one; without it followers are shown it when it is there."""
        self._live.on_leaderboard(self.offer)
        self._live.on_reconnected(self._read_soon)
        self._read_soon()
        if self._reading is not None:
            await asyncio.wait({self._reading}, timeout=FIRST_WAIT)
        self._task = asyncio.create_task(self._read_at_times(), name="hub-leaderboard")

    async def close(self) -> None:
        for task in (self._reading, self._task):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    def follow(self, viewer: Viewer) -> None:
        """Shows it now, where it is known, and at each change."""
        self._followers[viewer] = None
        if self._frame is not None:
            viewer.outbox.show(SUBJECT, self._frame)

    def unfollow(self, viewer: Viewer) -> None:
        self._followers.pop(viewer, None)
        viewer.outbox.forget(SUBJECT)

    def offer(self, board: Leaderboard) -> None:
        """Takes a leaderboard of the beat's, which may be new, or not."""
        if self._told_at is not None and board.updated_at < self._told_at:
            return
        self._told_at = board.updated_at
        self._take(board.top(ENTRIES))

    def _take(self, board: Leaderboard) -> None:
        changed = self._newest is None or board.entries != self._newest.entries
        self._newest = board
        if changed:
            self._frame = frames.leaderboard(board)
            broadcast(asyncio.get_running_loop(), SUBJECT, self._frame, self._followers)

    def _read_soon(self) -> None:
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read(), name="hub-leaderboard-reading")

    async def _read(self) -> None:
        board = await self._live.leaderboard(ENTRIES)
        if board is not None:
            self.offer(board)
            return
        # Made here, by this machine's clock, which is not the beat's: what the beat says next is taken in any case.
        with contextlib.suppress(StoreUnavailable):
            self._take(await self._store.leaderboard(ENTRIES))

    async def _read_at_times(self) -> None:
        while True:
            await asyncio.sleep(READ_AGAIN)
            self._read_soon()
