"""Step 7 of 7, show: how many sockets watch a poll, over all doors, for those who want to know."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable

from polling import telemetry
from polling.live.attendance import SharedAttendance
from websocket import frames
from websocket.broadcast import broadcast
from websocket.viewer import Viewer

log = telemetry.logger(__name__)

TURN = 1.0
"""Seconds between two turns: what changed here is told to the others, and what changed at all to who wants to know."""

SIGN_OF_LIFE = 2
"""Turns after which a door says again that its numbers are true, also where none has changed."""


class Attendance:
    """One for each hub. While Redis is away only this door's own sockets are counted."""

    def __init__(self, shared: SharedAttendance) -> None:
        self._shared = shared
        self._door = secrets.token_hex(8)
        self._here: dict[str, int] = {}
        self._changed: set[str] = set()
        self._whole = True
        self._silent = 0
        self._elsewhere: dict[str, int] = {}
        self._followers: dict[str, dict[Viewer, int | None]] = {}
        self._served: set[Viewer] = set()
        self._new: set[str] = set()
        self._asking: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._take_turns(), name="hub-attendance")

    async def close(self) -> None:
        """Takes this door's numbers back."""
        for task in (self._task, self._asking):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        await self._shared.leave(self._door)

    def moved(self, poll_id: str, sockets: int) -> None:
        """So many sockets of this door watch the poll now."""
        if sockets:
            self._here[poll_id] = sockets
        else:
            self._here.pop(poll_id, None)
        self._changed.add(poll_id)

    def end(self, poll_id: str) -> None:
        """Nobody watches it here any more."""
        self.moved(poll_id, 0)
        self._followers.pop(poll_id, None)
        self._elsewhere.pop(poll_id, None)

    def follow(self, viewer: Viewer, poll_id: str) -> None:
        """Tells this viewer, as soon as the other doors' numbers are known, and then in turns where they changed."""
        self._followers.setdefault(poll_id, {})[viewer] = None
        if poll_id in self._elsewhere:
            self._show_first(poll_id, [viewer])
            return
        self._new.add(poll_id)
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_new(), name="hub-attendance-asking")

    def unfollow(self, viewer: Viewer, poll_id: str) -> None:
        followers = self._followers.get(poll_id)
        if followers is None or viewer not in followers:
            return
        del followers[viewer]
        viewer.outbox.forget(_subject(poll_id))
        if not followers:
            del self._followers[poll_id]
            self._elsewhere.pop(poll_id, None)

    async def _take_turns(self) -> None:
        while True:
            await asyncio.sleep(TURN)
            try:
                await self._tell()
                await self._ask(list(self._followers))
                served, self._served = self._served, set()
                for poll_id in list(self._followers):
                    self._show_changed(poll_id, served)
            except Exception:
                log.exception("how many sockets watch could not be told")

    async def _tell(self) -> None:
        self._silent += 1
        due = self._changed or self._whole or self._silent >= SIGN_OF_LIFE
        if not due or not (self._here or self._changed):
            return
        changed, self._changed, whole = self._changed, set(), self._whole
        numbers = dict(self._here) if whole else {poll_id: self._here.get(poll_id, 0) for poll_id in changed}
        wanted = len(self._here)
        known = await self._shared.tell(self._door, numbers, whole=whole)
        # Redis was away, or lost what it had: the next turn tells all of it.
        self._whole = known != wanted
        self._silent = 0

    async def _ask_new(self) -> None:
        while self._new:
            new, self._new = self._new, set()
            await self._ask(list(new))
            for poll_id in new:
                waiting = [viewer for viewer, told in self._followers.get(poll_id, {}).items() if told is None]
                self._show_first(poll_id, waiting)

    async def _ask(self, poll_ids: list[str]) -> None:
        if not poll_ids:
            return
        numbers = await self._shared.elsewhere(self._door, poll_ids)
        for poll_id, number in zip(poll_ids, numbers or [0] * len(poll_ids), strict=True):
            if poll_id in self._followers:
                self._elsewhere[poll_id] = number

    def _show_first(self, poll_id: str, viewers: Iterable[Viewer]) -> None:
        """Tells followers who have just come."""
        receivers = set(viewers)
        self._served |= receivers
        self._show(poll_id, receivers)

    def _show_changed(self, poll_id: str, served: set[Viewer]) -> None:
        """Tells those who know another number; whoever was `served` since the last turn waits for the next one."""
        number = self._number(poll_id)
        followers = self._followers[poll_id]
        self._show(poll_id, {one for one, told in followers.items() if told != number and one not in served})

    def _show(self, poll_id: str, receivers: set[Viewer]) -> None:
        followers = self._followers.get(poll_id)
        if not receivers or followers is None:
            return
        number = self._number(poll_id)
        for viewer in receivers & followers.keys():
            followers[viewer] = number
        frame = frames.viewers(poll_id, number)
        others = followers.keys() - receivers
        broadcast(asyncio.get_running_loop(), _subject(poll_id), frame, followers, others)

    def _number(self, poll_id: str) -> int:
        return self._elsewhere.get(poll_id, 0) + self._here.get(poll_id, 0)


def _subject(poll_id: str) -> str:
    """No poll id has spaces."""
    return f"viewers of {poll_id}"
