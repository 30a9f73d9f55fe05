"""Step 7 of 7, show: what is to be sent to one socket, straight and in order, in bounded memory.

A frame goes straight to the socket while nothing waits in the stream's own buffer, which is three times as fast as
through it. What the kernel does not take goes into the stream, and from then on frames wait here: of each subject
only the newest, until the stream has sent all it holds. So a slow reader costs one frame a subject (and those are
shared with all the others), and gets the newest state when it reads again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tornado.iostream import IOStream, SSLIOStream, StreamClosedError

from polling.telemetry import metrics

MAX_ANSWERS = 256 * 1024
"""Bytes of answers (not of snapshots) that may wait for a reader; with more it counts as one that does not read."""


class Outbox:
    """The way out of one socket. After the stream has closed everything is passed over.

    Whoever else writes to the stream calls `look` after it: asking the stream each time whether it is still writing
    would cost a sixth of all frames.

    `stalled_since` is when (by `clock`) the reader fell behind, None while all is delivered. `on_overflow` is called
    once, when too many answers wait.
    """

    __slots__ = (
        "_answers",
        "_clock",
        "_closed",
        "_drained",
        "_on_overflow",
        "_socket_send",
        "_soon",
        "_stream",
        "_waiting",
        "stalled_since",
    )

    def __init__(self, stream: IOStream, clock: Callable[[], float], on_overflow: Callable[[], None]) -> None:
        self.stalled_since: float | None = None
        self._stream = stream
        self._clock = clock
        self._on_overflow = on_overflow
        # Bytes for a TLS stream must pass through its own writing.
        self._socket_send = _nothing_sent if isinstance(stream, SSLIOStream) else stream.socket.send
        self._waiting: dict[str, bytes] = {}
        self._answers = 0
        self._soon: list[bytes] = []
        self._drained: asyncio.Future[None] | None = None
        self._closed = False
        self.look()

    def look(self) -> None:
        """Notices that the stream holds something that it could not send yet."""
        if self._stream.writing():
            self._await_drain()

    def show(self, subject: str, frame: bytes) -> None:
        """Sends the newest state of a subject, now or, instead of what waits of it, when the reader is ready."""
        if self._drained is None and not self._closed:
            # `_send`, written out: this is where a hub spends its time.
            try:
                sent = self._socket_send(frame)
            except OSError as error:
                sent = self._not_sent(error)
            if sent != len(frame):
                self._write_rest(frame, sent)
        elif not self._closed:
            if subject in self._waiting:
                metrics.frames_conflated.inc()
            self._waiting[subject] = frame
            self._await_drain()

    def forget(self, subject: str) -> None:
        """Drops what waits of a subject: nothing more is to be said of it."""
        self._waiting.pop(subject, None)

    def answer(self, frame: bytes) -> None:
        """Sends a frame that nothing may replace, after all answers before it."""
        if self._soon:
            self.flush()
        if self._closed:
            return
        if self._drained is None:
            self._send(frame)
            return
        self._answers += len(frame)
        if self._answers > MAX_ANSWERS:
            self.close()
            self._on_overflow()
            return
        self._write(frame)
        self._await_drain()

    def answer_soon(self, frame: bytes) -> None:
        """As `answer`, at the end of this turn of the loop: answers that are ready together go together."""
        if not self._soon:
            asyncio.get_running_loop().call_soon(self.flush)
        self._soon.append(frame)

    def flush(self) -> None:
        """Sends what was to be sent soon."""
        if self._soon:
            frames, self._soon = self._soon, []
            self.answer(frames[0] if len(frames) == 1 else b"".join(frames))

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
            # Not the future itself: where it is done and `_on_drained` has not been called yet, to await it would
            # return at once, and the loop that is to call that would never get its turn.
            await asyncio.wait({self._drained})

    def _send(self, frame: bytes) -> None:
        try:
            sent = self._socket_send(frame)
        except OSError as error:
            sent = self._not_sent(error)
        if sent != len(frame):
            self._write_rest(frame, sent)

    def _not_sent(self, error: OSError) -> int:
        if not isinstance(error, BlockingIOError):
            # The peer is gone, or the stream has closed meanwhile.
            self._stream.close(exc_info=error)
            self.close()
        return 0

    def _write_rest(self, frame: bytes, sent: int) -> None:
        if self._closed:
            return
        self._write(memoryview(frame)[sent:])
        self.look()

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
        self.look()


def _nothing_sent(_frame: bytes) -> int:
    return 0
