"""Step 7 of 7, show: one poll and the sockets that watch it."""

from __future__ import annotations

import asyncio

from polling.core.polls import Poll, Results
from polling.telemetry import metrics
from websocket import frames
from websocket.broadcast import broadcast
from websocket.pace import Pace
from websocket.viewer import Viewer


class Room:
    """Shows the newest results to all who are in it. Closed (no `poll`) until the first snapshot is there.

    Whoever comes in is shown the newest at once; the others get it at the next step, one frame built for all.
    """

    def __init__(self, poll_id: str, loop: asyncio.AbstractEventLoop) -> None:
        self.poll_id = poll_id
        self.poll: Poll | None = None
        # In the order in which they came: so they lie in memory, which a broadcast feels (a set costs a tenth).
        self.viewers: dict[Viewer, None] = {}
        self._loop = loop
        self._pace = Pace(loop, self._show)
        self._newest: Results | None = None
        self._shown: Results | None = None
        self._frame = b""
        self._framed: Results | None = None
        self._ahead: set[Viewer] = set()

    def open(self, poll: Poll, results: Results) -> None:
        """The first snapshot; everybody who waits for it gets it, or what was published meanwhile."""
        self.poll = poll
        if self._newest is None or newer(results, self._newest):
            self._newest = results
        self._pace.shown()
        self._show()

    def enter(self, viewer: Viewer) -> None:
        """Adds a viewer, and shows it how the poll stands, also where it was in already."""
        self.viewers[viewer] = None
        if self.poll is None:
            return
        if self._newest != self._shown:
            self._ahead.add(viewer)
        viewer.outbox.show(self.poll_id, self._newest_frame())
        metrics.frames_sent.inc()

    def leave(self, viewer: Viewer) -> None:
        self.viewers.pop(viewer, None)
        self._ahead.discard(viewer)

    def offer(self, results: Results) -> None:
        """Takes results that may be new, or not."""
        if self._newest is not None and not newer(results, self._newest):
            return
        self._newest = results
        # Who was ahead with the results before is not with these.
        self._ahead.clear()
        if self.poll is not None and self._pace.changed():
            metrics.frames_conflated.inc()

    def delete(self) -> None:
        """Tells everybody that the poll is gone. The room is of no use any more."""
        self._pace.stop()
        broadcast(self._loop, self.poll_id, frames.deleted(self.poll_id), self.viewers)

    def close(self) -> None:
        """Shows nothing any more."""
        self._pace.stop()

    def _show(self) -> None:
        if self._newest == self._shown:
            return
        self._shown = self._newest
        ahead, self._ahead = self._ahead, set()
        broadcast(self._loop, self.poll_id, self._newest_frame(), self.viewers, ahead)

    def _newest_frame(self) -> bytes:
        if self._framed is not self._newest and self.poll is not None and self._newest is not None:
            self._frame = frames.results(self.poll, self._newest)
            self._framed = self._newest
        return self._frame


def newer(one: Results, other: Results) -> bool:
    """Whether `one` tells more than `other`: a greater revision, or at the same one that the poll has closed.

    A poll's status is computed when it is read, so that its time may come without a revision of its own.
    """
    if one.revision != other.revision:
        return one.revision > other.revision
    return (one.status == "closed", one.final) > (other.status == "closed", other.final)
