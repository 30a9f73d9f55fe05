"""Step 1 of 7, accept: ends a process whose loop stands still, so that whoever supervises it starts it again."""

from __future__ import annotations

import faulthandler
import sys

STANDSTILL = 60.0
"""Seconds for which a loop may stand still. Whatever else takes time in it (a stalled disk, a machine under load, a
process that somebody stopped for a while) is over much sooner, or had better end."""


class Watchdog:
    """Wants to hear of the loop again and again. After `limit` seconds without a word the stacks of all threads go to
    standard error, and the process ends with status 1.

    Python's own (`faulthandler`), for it is a thread of C that needs no lock of the interpreter: it barks also where
    a library blocks while it holds that. One process can have one.
    """

    def __init__(self, limit: float = STANDSTILL) -> None:
        self._limit = limit

    def hear(self) -> None:
        """The loop turns. To be called every second or so."""
        faulthandler.dump_traceback_later(self._limit, exit=True, file=sys.stderr)

    def rest(self) -> None:
        """Nothing is watched any more."""
        faulthandler.cancel_dump_traceback_later()
