"""Step 7 of 7, show: which socket watches which poll, and where a poll's results come from."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Coroutine, Iterable, Sequence
from typing import Any

from polling import telemetry
from polling.casting import PollBook
from polling.core.errors import InternalError, PollingError, PollNotFound
from polling.core.polls import Poll, Results
from polling.core.sight import NOBODY, NOTHING, Claim, Sight
from polling.live import Live
from polling.store.door import Store
from polling.telemetry import metrics
from websocket import close_codes, frames
from websocket.attendance import Attendance
from websocket.board import Board
from websocket.care import Care
from websocket.close_codes import CloseCode
from websocket.readings import Readings
from websocket.room import Room
from websocket.viewer import Viewer

log = telemetry.logger(__name__)

MAX_SOCKETS = 20_000
"""Sockets that one process takes; an idle one costs some 60 kB."""

WATCH_PATIENCE = 0.25
"""Seconds that a first snapshot waits for Redis to confirm that it will tell of what comes after."""

READ_AGAIN = 10.0
"""Seconds between two readings of all that is watched, in case that a message got lost without a trace."""


class Hub:
    """One for each process. Rooms come and go with their sockets; all methods but `open` return at once.

    A room's first socket makes it: Redis is asked to tell of the poll, and then PostgreSQL is read, so that nothing
    falls between. After Redis was away everything that is watched is read again.
    """

    def __init__(self, live: Live, store: Store, book: PollBook) -> None:
        self._live = live
        self._book = book
        self._rooms: dict[str, Room] = {}
        self._viewers: set[Viewer] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._readings = Readings(store, self._offer, self._on_gone)
        self._board = Board(live, store)
        self._attendance = Attendance(live.attendance)
        self._care = Care(self._viewers)
        self._closing: CloseCode | None = None
        self._crowd = 0

    async def open(self) -> None:
        """Begins to listen; waits a moment for the first leaderboard, but not for servers that are away."""
        self._live.on_results(self._offer)
        self._live.on_reconnected(self._read_again)
        self._book.on_change(self._on_poll_changed)
        self._care.start()
        self._attendance.start()
        self._spawn(self._read_at_times())
        await self._board.open()

    def close(self, code: int = close_codes.RESTART.code) -> Awaitable[None]:
        """Begins to close every socket at once; who votes is closed after the answer. Awaiting it is optional."""
        self._closing = next((known for known in close_codes.ALL if known.code == code), close_codes.RESTART)
        self._crowd = len(self._viewers)
        for viewer in list(self._viewers):
            viewer.close(self._closing)
        return asyncio.ensure_future(self._stop())

    def full(self) -> CloseCode | None:
        """Why a new socket cannot stay, or None."""
        if self._closing is not None:
            return self._closing
        return close_codes.TRY_LATER if len(self._viewers) >= MAX_SOCKETS else None

    def come_back_after(self) -> int:
        """Milliseconds that a socket which is closed with many others had better wait; different for each."""
        return close_codes.come_back_after(max(self._crowd, len(self._viewers)), random.random())  # noqa: S311

    def enter(self, viewer: Viewer) -> None:
        """A new socket, which is shown the leaderboard from the start."""
        self._viewers.add(viewer)
        metrics.sockets.inc()
        self._board.follow(viewer)

    def leave(self, viewer: Viewer) -> None:
        """The socket is gone."""
        if viewer in self._viewers:
            self._viewers.discard(viewer)
            metrics.sockets.dec()
        self._board.unfollow(viewer)
        for poll_id in list(viewer.polls):
            self.unsubscribe(viewer, poll_id)

    def subscribe(self, viewer: Viewer, poll_id: str, claim: Claim = NOTHING, *, count: bool = False) -> None:
        """Shows a poll: at once where it is watched already, else after it was read; an error where it can't be, or
        where the `claim` is wrong. `count`: and how many sockets watch it.
        """
        viewer.polls.add(poll_id)
        if claim.empty:
            self._enter(viewer, poll_id, NOBODY, count)
        else:
            self._spawn(self._enter_by(claim, viewer, poll_id, count))

    async def _enter_by(self, claim: Claim, viewer: Viewer, poll_id: str, count: bool) -> None:
        try:
            sight = claim.judge(self._book.peek(poll_id) or await self._book.get(poll_id))
        except PollingError as error:
            room = self._rooms.get(poll_id)
            if room is None or viewer not in room.viewers:
                viewer.polls.discard(poll_id)
            viewer.outbox.answer(frames.error(error, poll_id=poll_id))
            return
        if viewer in self._viewers and poll_id in viewer.polls:  # it may have left meanwhile
            self._enter(viewer, poll_id, sight, count)

    def _enter(self, viewer: Viewer, poll_id: str, sight: Sight, count: bool) -> None:
        room = self._rooms.get(poll_id)
        if room is None:
            room = self._rooms[poll_id] = Room(poll_id, asyncio.get_running_loop())
            self._spawn(self._open_room(room))
        room.enter(viewer, sight)
        self._attendance.moved(poll_id, len(room.viewers))
        if count:
            self._attendance.follow(viewer, poll_id)

    def unsubscribe(self, viewer: Viewer, poll_id: str) -> None:
        """Shows it no more. It may not have been shown."""
        viewer.polls.discard(poll_id)
        viewer.outbox.forget(poll_id)
        self._attendance.unfollow(viewer, poll_id)
        room = self._rooms.get(poll_id)
        if room is not None:
            room.leave(viewer)
            self._attendance.moved(poll_id, len(room.viewers))
            # A room that is being opened is left to its opener, which looks.
            if not room.viewers and room.poll is not None:
                self._drop(room)

    def follow_leaderboard(self, viewer: Viewer) -> None:
        self._board.follow(viewer)

    def unfollow_leaderboard(self, viewer: Viewer) -> None:
        self._board.unfollow(viewer)

    async def _open_room(self, room: Room) -> None:
        watching: asyncio.Task[None] | None = None
        try:
            poll = await self._book.get(room.poll_id)
            watching = asyncio.create_task(self._live.watch(room.poll_id))
            await asyncio.wait({watching}, timeout=WATCH_PATIENCE)
            confirmed = watching.done()
            results = await self._readings.read(poll)
            poll = self._book.peek(poll.id) or poll
            if poll.deleted:
                raise PollNotFound
            if room.viewers:
                room.open(poll, results)
        except PollingError as error:
            self._refuse(room, error)
        except Exception:
            log.exception("a poll could not be shown", poll=room.poll_id)
            self._refuse(room, InternalError())
        finally:
            if watching is not None:
                await watching
                if room.poll is not None and not confirmed:
                    self._readings.want([room.poll])
        if room.poll is None:
            self._forget(room)
            if watching is not None:
                await self._live.unwatch(room.poll_id)

    def _refuse(self, room: Room, error: PollingError) -> None:
        self._forget(room)
        frame = frames.error(error, poll_id=room.poll_id)
        for viewer in room.viewers:
            viewer.polls.discard(room.poll_id)
            viewer.outbox.answer(frame)
        room.viewers.clear()

    def _drop(self, room: Room) -> None:
        self._forget(room)
        room.close()
        self._spawn(self._live.unwatch(room.poll_id))

    def _forget(self, room: Room) -> None:
        # Another room may have been made for the poll since.
        if self._rooms.get(room.poll_id) is room:
            del self._rooms[room.poll_id]
            self._attendance.end(room.poll_id)

    def _offer(self, changed: Sequence[Results]) -> None:
        for results in changed:
            room = self._rooms.get(results.poll_id)
            if room is not None:
                room.offer(results)

    def _on_poll_changed(self, poll: Poll) -> None:
        room = self._rooms.get(poll.id)
        if room is None or room.poll is None:
            return
        if poll.deleted:
            self._on_gone(poll)
        elif poll != room.poll:
            room.redefine(poll)
            self._readings.want([poll])

    def _on_gone(self, poll: Poll) -> None:
        room = self._rooms.get(poll.id)
        if room is None or room.poll is None:
            return
        room.delete()
        for viewer in room.viewers:
            viewer.polls.discard(poll.id)
        self._drop(room)

    def _read_again(self) -> None:
        self._readings.want(_polls(self._rooms.values()))

    async def _read_at_times(self) -> None:
        while True:
            await asyncio.sleep(READ_AGAIN)
            self._read_again()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(self._readings.close(), self._board.close(), self._care.close(), self._attendance.close())


def _polls(rooms: Iterable[Room]) -> list[Poll]:
    return [room.poll for room in rooms if room.poll is not None]
