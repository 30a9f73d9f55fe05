"""Step 7 of 7, show: how often a subject is shown: the first change after a quiet time at once, then in steps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

STEP = 0.1
"""Seconds between two frames of one subject, at least."""


class Pace:
    """Calls `show` soon after `changed` was called, never twice within `step` seconds, and always after the last."""

    def __init__(self, loop: asyncio.AbstractEventLoop, show: Callable[[], None], step: float = STEP) -> None:
        self._loop = loop
        self._show = show
        self._step = step
        self._next = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def changed(self) -> bool:
        """There is something new. Returns whether it joins a change that already waits to be shown."""
        if self._timer is not None:
            return True
        now = self._loop.time()
        if now >= self._next:
            self._next = now + self._step
            self._show()
        else:
            self._timer = self._loop.call_at(self._next, self._due)
        return False

    def shown(self) -> None:
        """It was shown just now without being asked here: the next change keeps its distance."""
        self._next = self._loop.time() + self._step

    def stop(self) -> None:
        """Shows nothing any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _due(self) -> None:
        self._timer = None
        # From now, not from when it was due: a busy loop is late, and two frames must not follow each other closer.
        self._next = self._loop.time() + self._step
        self._show()
