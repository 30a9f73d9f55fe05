"""Step 7 of 7, show: what is to be sent to one socket, straight and in order, in bounded memory.

A frame goes straight to the socket while nothing waits in the stream's own buffer, which is three times as fast as
through it. What the kernel does not take goes into the stream, and from then on frames wait here: of each subject
only the newest, until the stream has sent all it holds. So a slow reader costs one frame a subject (and those are
shared with all the others), and gets the newest state when it reads again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from tornado.iostream import IOStream, SSLIOStream, StreamClosedError

from polling.telemetry import metrics

MAX_ANSWERS = 256 * 1024
"""Bytes of answers (not of snapshots) that may wait for a reader; with more it counts as one that does not read."""


class Outbox:
    """The way out of one socket. After the stream has closed everything is passed over.

    `stalled_since` is when (by `clock`) the reader fell behind, None while all is delivered. `on_overflow` is called
    once, when too many answers wait.
    """

    def __init__(self, stream: IOStream, clock: Callable[[], float], on_overflow: Callable[[], None]) -> None:
        self.stalled_since: float | None = None
        self._stream = stream
        self._clock = clock
        self._on_overflow = on_overflow
        # Bytes for a TLS stream must pass through its own writing.
        self._straight = not isinstance(stream, SSLIOStream)
        self._waiting: dict[str, bytes] = {}
        self._answers = 0
        self._drained: asyncio.Future[None] | None = None
        self._closed = False

    def show(self, subject: str, frame: bytes) -> None:
        """Sends the newest state of a subject, now or, instead of what waits of it, when the reader is ready."""
        if self._closed:
            return
        if self._drained is None and not self._stream.writing():
            self._send(frame)
            return
        if subject in self._waiting:
            metrics.frames_conflated.inc()
        self._waiting[subject] = frame
        self._await_drain()

    def forget(self, subject: str) -> None:
        """Drops what waits of a subject: nothing more is to be said of it."""
        self._waiting.pop(subject, None)

    def answer(self, frame: bytes) -> None:
        """Sends a frame that nothing may replace, after all answers before it."""
        if self._closed:
            return
        if self._drained is None and not self._stream.writing():
            self._send(frame)
            return
        self._answers += len(frame)
        if self._answers > MAX_ANSWERS:
            self.close()
            self._on_overflow()
            return
        self._write(frame)
        self._await_drain()

    def close(self) -> None:
        """Nothing is sent any more."""
        self._closed = True
        self._waiting.clear()

    @property
    def behind(self) -> bool:
        """Whether something waits for the reader."""
        return self._drained is not None

    async def drained(self) -> None:
        """Returns when nothing waits any more, or the stream has closed."""
        while self._drained is not None and not self._closed:
            with contextlib.suppress(StreamClosedError):
                await asyncio.shield(self._drained)

    def _send(self, frame: bytes) -> None:
        sent = 0
        if self._straight:
            try:
                sent = self._stream.socket.send(frame)
            except BlockingIOError:
                sent = 0
            except (OSError, AttributeError) as error:
                # The peer is gone (a stream that has closed meanwhile has no socket).
                self._stream.close(exc_info=error)
                self.close()
                return
            if sent == len(frame):
                return
        self._write(memoryview(frame)[sent:])
        if self._stream.writing():
            self._await_drain()

    def _write(self, data: bytes | memoryview) -> None:
        try:
            self._stream.write(data)
        except StreamClosedError:
            self.close()

    def _await_drain(self) -> None:
        """Waits for all that the stream holds now; an empty write is done when what is before it is."""
        if self._drained is not None or self._closed:
            return
        try:
            self._drained = self._stream.write(b"")
        except StreamClosedError:
            self.close()
            return
        if self.stalled_since is None:
            self.stalled_since = self._clock()
        self._drained.add_done_callback(self._on_drained)

    def _on_drained(self, drained: asyncio.Future[None]) -> None:
        self._drained = None
        if drained.cancelled() or drained.exception() is not None or self._closed:
            self.close()
            return
        self.stalled_since = None
        if not self._stream.writing():
            self._answers = 0
        while self._waiting and not self._stream.writing() and not self._closed:
            subject = next(iter(self._waiting))
            self._send(self._waiting.pop(subject))
        if self._stream.writing():
            self._await_drain()
