"""Step 7 of 7, show: looks after all sockets by one timer: pings them, and closes those that are gone or do not read.

Tornado's own pinging is a task and a timer for each socket, and closes with a code that says nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from polling import telemetry
from polling.telemetry import metrics
from websocket import close_codes, frames
from websocket.viewer import Viewer

log = telemetry.logger(__name__)

ROUND = 30
"""Seconds between two pings of a socket; each second a thirtieth of the sockets has its turn. Who did not answer
the one before is closed."""

SLOW_AFTER = 10.0
"""Seconds that a reader may be behind without taking all that waits in the stream."""


class Care:
    """Goes over the sockets once a second."""

    def __init__(self, viewers: Collection[Viewer]) -> None:
        self._viewers = viewers
        self._turn = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._go_round(), name="hub-care")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _go_round(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            try:
                self.look(asyncio.get_running_loop().time())
            except Exception:
                log.exception("sockets could not be looked after")

    def look(self, now: float) -> None:
        """One round at this time of the loop's clock."""
        self._turn = (self._turn + 1) % ROUND
        for viewer in list(self._viewers):
            stalled = viewer.outbox.stalled_since
            if stalled is not None:
                if now - stalled > SLOW_AFTER:
                    metrics.slow_readers.inc()
                    viewer.close(close_codes.SLOW_READER)
            elif id(viewer) // 64 % ROUND == self._turn:
                self._ping(viewer)

    @staticmethod
    def _ping(viewer: Viewer) -> None:
        if viewer.unanswered:
            viewer.close(close_codes.NO_PONG)
            return
        viewer.unanswered = True
        viewer.outbox.answer(frames.PING)
