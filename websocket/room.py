"""Step 7 of 7, show: one poll and the sockets that watch it."""

from __future__ import annotations

import asyncio

from polling.core.polls import Poll, Results
from polling.core.sight import Sight
from polling.telemetry import metrics
from websocket import frames
from websocket.broadcast import broadcast
from websocket.pace import Pace
from websocket.viewer import Viewer


class Room:
    """Shows the newest results to all who are in it. Closed (no `poll`) until the first snapshot is there.

    Whoever comes in is shown the newest at once; the others get it at the next step, one frame built for all. Where
    the poll hides its results there are two: `_sighted` has those who may see them all the same, `_blind` the others.
    """

    def __init__(self, poll_id: str, loop: asyncio.AbstractEventLoop) -> None:
        self.poll_id = poll_id
        self.poll: Poll | None = None
        # In the order in which they came: so they lie in memory, which a broadcast feels (a set costs a tenth).
        self.viewers: dict[Viewer, None] = {}
        self._sights: dict[Viewer, Sight] = {}
        self._sighted: dict[Viewer, None] = {}
        self._blind: dict[Viewer, None] = {}
        self._loop = loop
        self._pace = Pace(loop, self._show)
        self._newest: Results | None = None
        self._shown: Results | None = None
        self._frames: dict[bool, bytes] = {}
        self._framed: Results | None = None
        self._ahead: set[Viewer] = set()

    def open(self, poll: Poll, results: Results) -> None:
        """The first snapshot; everybody who waits for it gets it, or what was published meanwhile."""
        self.poll = poll
        self._sort()
        if self._newest is None or newer(results, self._newest):
            self._newest = results
        self._pace.shown()
        self._show()

    def redefine(self, poll: Poll) -> None:
        """The poll was changed. Where a frame of it would be another one now, everybody is shown that."""
        before, self.poll = self.poll, poll
        if before is None or (before.options, before.results_visible) == (poll.options, poll.results_visible):
            return
        self._sort()
        self._framed = self._shown = None
        self._ahead.clear()
        self._pace.changed()

    def enter(self, viewer: Viewer, sight: Sight) -> None:
        """Adds a viewer, and shows it how the poll stands, also where it was in already."""
        self.viewers[viewer] = None
        if any(sight):
            self._sights[viewer] = self._sights.get(viewer, sight).and_more(sight)
        if self.poll is None:
            return
        if self._hides:
            self._place(viewer)
        if self._newest != self._shown:
            self._ahead.add(viewer)
        viewer.outbox.show(self.poll_id, self._frame(self._shows_all or viewer in self._sighted))
        metrics.frames_sent.inc()

    def leave(self, viewer: Viewer) -> None:
        for one in (self.viewers, self._sights, self._sighted, self._blind):
            one.pop(viewer, None)
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

    @property
    def _hides(self) -> bool:
        """Whether the poll hides its results from some while it is open."""
        return self.poll is not None and self.poll.results_visible != "always"

    @property
    def _shows_all(self) -> bool:
        """Whether everybody may see the newest results."""
        return not self._hides or (self._newest is not None and self._newest.closed)

    def _sort(self) -> None:
        """Tells those who may see from those who may not, anew."""
        self._sighted.clear()
        self._blind.clear()
        if self._hides:
            for viewer in self.viewers:
                self._place(viewer)

    def _place(self, viewer: Viewer) -> None:
        assert self.poll is not None
        sees = viewer in self._sights and self._sights[viewer].sees(self.poll, closed=False)
        mine, other = (self._sighted, self._blind) if sees else (self._blind, self._sighted)
        mine[viewer] = None
        other.pop(viewer, None)

    def _show(self) -> None:
        if self._newest == self._shown:
            return
        self._shown = self._newest
        ahead, self._ahead = self._ahead, set()
        if self._shows_all:
            broadcast(self._loop, self.poll_id, self._frame(True), self.viewers, ahead)
            return
        for shown, viewers in ((True, self._sighted), (False, self._blind)):
            if viewers:
                broadcast(self._loop, self.poll_id, self._frame(shown), viewers, ahead)

    def _frame(self, shown: bool) -> bytes:
        """The newest results as a frame, built when somebody needs it: with the votes `shown`, or hidden."""
        if self._framed is not self._newest:
            self._framed = self._newest
            self._frames.clear()
        if shown not in self._frames and self.poll is not None and self._newest is not None:
            self._frames[shown] = frames.results(self.poll, self._newest, shown=shown)
        return self._frames.get(shown, b"")


def newer(one: Results, other: Results) -> bool:
    """Whether `one` tells more than `other`: a greater revision, or at the same one that the poll has closed.

    A poll's status is computed when it is read, so that its time may come without a revision of its own.
    """
    if one.revision != other.revision:
        return one.revision > other.revision
    return (one.closed, one.final) > (other.closed, other.final)
