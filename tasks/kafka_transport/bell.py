"""Celery over Kafka: how a consumer's thread wakes the thread that waits for messages.

A pipe, because Celery's event loop and a plain `drain_events` can both wait on a file descriptor and on nothing else.
"""

from __future__ import annotations

import contextlib
import os
import select


class Bell:
    """A wake-up that may be rung from any thread, any number of times, and is heard at least once."""

    def __init__(self) -> None:
        self._closed = True
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        self._poll = select.poll()
        self._poll.register(self._reader, select.POLLIN)
        self._rung = False
        self._closed = False

    def __del__(self) -> None:
        self.close()

    def fileno(self) -> int:
        """The descriptor that becomes readable when the bell was rung."""
        return self._reader

    def ring(self) -> None:
        """Wake whoever waits; never blocks. A full pipe is a bell that is ringing already."""
        if self._closed or self._rung:
            return
        self._rung = True
        try:
            os.write(self._writer, b"!")
        except BlockingIOError:
            return

    def hush(self) -> None:
        """Forget the rings so far. Call it before looking for messages, never after, or one goes unnoticed.

        The pipe first: a ring between the two would else be read away and leave a bell that counts as rung for ever.
        """
        with contextlib.suppress(BlockingIOError):
            while len(os.read(self._reader, 4096)) == 4096:
                pass
        self._rung = False

    def wait(self, seconds: float | None) -> bool:
        """Wait until rung, at most `seconds` (None: for ever). Returns whether it rang."""
        return bool(self._poll.poll(None if seconds is None else max(0, round(seconds * 1000))))

    def close(self) -> None:
        """Give the descriptors back. Ringing a closed bell does nothing."""
        if not self._closed:
            self._closed = True
            os.close(self._reader)
            os.close(self._writer)
