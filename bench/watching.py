"""Measuring: what was heard of votes, and when: PostgreSQL's notifications and a WebSocket's frames; and what that
says of each vote.
"""

from __future__ import annotations

import asyncio
import json
import time
from bisect import bisect_left, bisect_right
from itertools import accumulate
from typing import NamedTuple

import psycopg
from tornado.websocket import websocket_connect

from bench.system import BenchError, System
from polling.core.votes import COUNTED_CHANNEL, Covered, read_note

Note = tuple[float, list[Covered]]
"""When a notification was heard, and the ranges that it names."""

Shown = tuple[float, int]
"""When a frame came, and the votes in it."""


class Watch:
    """What was heard: notifications as (seconds, ranges), frames as (seconds, total votes), both in order."""

    def __init__(self, system: System, poll: str) -> None:
        self._system = system
        self._poll = poll
        self.notes: list[Note] = []
        self.frames: list[Shown] = []

    async def listen(self, ready: asyncio.Event) -> None:
        """Hears the notifications, until it is cancelled."""
        url = self._system.settings.database_url
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            await connection.execute(f"LISTEN {COUNTED_CHANNEL}")
            ready.set()
            async for notification in connection.notifies():
                self.notes.append((time.monotonic(), read_note(notification.payload)))

    async def look(self, ready: asyncio.Event) -> None:
        """Reads the socket, until it is cancelled."""
        host, port = self._system.address
        socket = await websocket_connect(f"ws://{host}:{port}/?poll={self._poll}")
        while (message := await socket.read_message()) is not None:
            frame = json.loads(message)
            if frame["type"] == "results":
                self.frames.append((time.monotonic(), frame["total_votes"]))
                ready.set()


class Delays(NamedTuple):
    """Seconds of every vote, side by side: from accepted to counted, and to the socket."""

    counted: list[float]
    shown: list[float]


def delays_of(
    accepted: dict[bytes, float], places: dict[bytes, tuple[int, int, int]], notes: list[Note], frames: list[Shown]
) -> Delays:
    """When each accepted vote was heard of and shown. `places` has all of the poll's ballots, others' too; notes and
    frames are in the order in which they came.

    Raises:
        BenchError: a vote has no ballot, or nothing was heard of it.
    """
    if any(ballot not in places for ballot in accepted):
        raise BenchError(f"{len(accepted)} votes were accepted, and not all of them have ballots")
    if any(not ranges for _, ranges in notes):
        raise BenchError("a notification did not name its ranges")
    heard = _Heard(notes)
    note_of = {ballot: heard.of(*place) for ballot, place in places.items()}
    sizes = [0] * len(notes)
    for number in note_of.values():
        sizes[number] += 1
    totals = list(accumulate(sizes))
    shown_totals = [total for _, total in frames]
    counted = [notes[note_of[ballot]][0] - at for ballot, at in accepted.items()]
    shown = [frames[bisect_left(shown_totals, totals[note_of[ballot]])][0] - at for ballot, at in accepted.items()]
    return Delays(counted, shown)


class _Heard:
    """Which notification was the first to cover a place."""

    def __init__(self, notes: list[Note]) -> None:
        self._ranges: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
        for number, (_, ranges) in enumerate(notes):
            for one in ranges:
                self._ranges.setdefault((one.generation, one.partition), []).append((one.first, -number, one.next))
        for found in self._ranges.values():
            found.sort()

    def of(self, generation: int, partition: int, offset: int) -> int:
        found = self._ranges.get((generation, partition), [])
        # Ranges overlap only where a batch was handed out twice; then they begin at the same offset.
        at = bisect_right(found, (offset, 1, 0)) - 1
        if at < 0 or not found[at][0] <= offset < found[at][2]:
            raise BenchError(f"nothing was heard of {generation}/{partition}@{offset}")
        return -found[at][1]
