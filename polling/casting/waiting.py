"""Step 5 of 7, store: waits until a position of the log is counted, woken by PostgreSQL's notifications."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from polling.core.votes import Covered
from polling.vote_log import Position


class Wait:
    """One who waits. `woken`: it is worth to look. `covered`: the position is known to be counted or judged."""

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.woken = asyncio.Event()
        self.covered = False


class CountedWaits:
    """Who waits for which position. One process has one; the listener calls `counted` and `look_again`."""

    def __init__(self) -> None:
        self._waits: defaultdict[tuple[int, int] | None, set[Wait]] = defaultdict(set)
        self.over = False

    @contextmanager
    def registered(self, position: Position | None) -> Iterator[Wait]:
        """Waits, inside of `with`, for this position; for any that is counted where it is None."""
        place = None if position is None else (position.generation, position.partition)
        wait = Wait(-1 if position is None else position.offset)
        self._waits[place].add(wait)
        try:
            yield wait
        finally:
            self._waits[place].discard(wait)
            if not self._waits[place]:
                del self._waits[place]

    def counted(self, ranges: Iterable[Covered]) -> None:
        """Wakes those whose position these ranges cover, and those who wait for any. No ranges: wakes all."""
        named = list(ranges)
        if not named:
            self.look_again()
        for covered in named:
            for wait in self._waits.get((covered.generation, covered.partition), ()):
                if covered.first <= wait.offset < covered.next:
                    wait.covered = True
                    wait.woken.set()
        for wait in self._waits.get(None, ()):
            wait.woken.set()

    def end(self) -> None:
        """From now on nobody waits: this process stops."""
        self.over = True
        self.look_again()

    def look_again(self) -> None:
        """Wakes everybody: notifications may have been missed."""
        for waits in self._waits.values():
            for wait in waits:
                wait.woken.set()
