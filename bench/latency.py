"""Measuring: from accepted to counted, and to the socket, at a steady rate of votes over HTTP.

*Accepted* is when the client has the 202. *Counted* is when a connection that listens to PostgreSQL hears the
notification whose ranges cover the vote's place in the log, which its stored ballot tells afterwards. *Socket* is when
a WebSocket gets the frame whose total holds the vote's batch and all batches before it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from bisect import bisect_left
from itertools import accumulate
from typing import Any

import psycopg
from tornado.websocket import websocket_connect

from bench.connections import Connections
from bench.floor import hear_one_by_one
from bench.report import Figure, Part, percentile
from bench.system import BenchError, System, wait_until
from polling.core import positions
from polling.core.votes import COUNTED_CHANNEL, Covered, read_note
from websocket.pace import STEP

OPTIONS = ("JavaScript", "Python", "Java", "Rust")
_CONNECTIONS = 100
_WARM_UP = 200
_LISTEN_LIMIT = 60.0


class Watch:
    """What was heard: notifications as (seconds, ranges), frames as (seconds, total votes), both in order."""

    def __init__(self, system: System, poll: str) -> None:
        self._system = system
        self._poll = poll
        self.notes: list[tuple[float, list[Covered]]] = []
        self.frames: list[tuple[float, int]] = []

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


def measure(*, rate: int, seconds: float) -> Part:
    """`rate` votes a second for `seconds`."""
    with System() as system:
        system.start("api", "bridge", "worker", "beat")
        poll = system.create_poll("What is your favorite language?", OPTIONS)
        watch = Watch(system, poll)
        accepted, late = asyncio.run(_vote(system, poll, watch, rate, int(rate * seconds)))
        places = _places(system, poll)
        system.stop("bridge")
        system.stop("worker")
        hearing = hear_one_by_one(system, poll)
    votes = {ballot: at for ballot, at in accepted.items() if ballot in places}
    if len(votes) != len(accepted):
        raise BenchError(f"{len(accepted)} votes were accepted, and only {len(votes)} of them have ballots")
    counted, shown = _delays(votes, places, watch)
    bare = "a bare consumer, one statement a vote, its notification"
    pace = f"the same, and half of the pace of one frame in {STEP * 1000:.0f} ms"
    paced = [delay + share * STEP for share, delay in zip(_even(len(hearing)), sorted(hearing), strict=True)]
    figures = [
        _figure("accepted to counted", 0.5, counted, hearing, bare),
        _figure("accepted to counted", 0.99, counted, hearing, bare),
        _figure("accepted to socket", 0.5, shown, paced, pace),
        _figure("accepted to socket", 0.99, shown, paced, pace.replace("half", "all")),
        Figure("POST behind its schedule, p99", percentile(late, 0.99) * 1000, "ms"),
    ]
    raw: dict[str, Any] = {"rate": rate, "votes": len(votes), "batches": len(watch.notes), "frames": len(watch.frames)}
    raw["counted_max_ms"], raw["socket_max_ms"] = max(counted) * 1000, max(shown) * 1000
    return Part(f"latency at {rate} votes/s over HTTP", figures, raw)


async def _vote(
    system: System, poll: str, watch: Watch, rate: int, votes: int
) -> tuple[dict[bytes, float], list[float]]:
    """When each ballot was accepted, and by how much each request was behind its schedule."""
    listening, looking = asyncio.Event(), asyncio.Event()
    watching = [asyncio.create_task(watch.listen(listening)), asyncio.create_task(watch.look(looking))]
    accepted: dict[bytes, float] = {}
    late: list[float] = []
    async with Connections(system.address, f"/api/polls/{poll}/vote", _CONNECTIONS) as connections:

        async def cast(number: int, due: float) -> None:
            body = json.dumps({"option": OPTIONS[number % len(OPTIONS)]}).encode()
            late.append(max(0.0, time.monotonic() - due))
            answer = await connections.post(body)
            accepted[base64.urlsafe_b64decode(answer["vote_id"])[:16]] = time.monotonic()

        try:
            async with asyncio.timeout(_LISTEN_LIMIT):
                await asyncio.gather(listening.wait(), looking.wait())
            for _ in range(_WARM_UP):
                await cast(0, time.monotonic())
            await asyncio.sleep(2)
            accepted.clear()
            late.clear()
            async with asyncio.timeout(10 * votes / rate + _LISTEN_LIMIT), asyncio.TaskGroup() as casting:
                begun = time.monotonic()
                for number in range(votes):
                    due = begun + number / rate
                    await asyncio.sleep(max(0.0, due - time.monotonic()))
                    casting.create_task(cast(number, due))
            await asyncio.to_thread(system.wait_until_counted)
            await _last_frame(watch, votes + _WARM_UP)
        finally:
            for task in watching:
                task.cancel()
            ended = await asyncio.gather(*watching, return_exceptions=True)
    for error in ended:
        if isinstance(error, Exception):
            raise error
    return accepted, late


async def _last_frame(watch: Watch, total: int) -> None:
    def came() -> bool:
        return watch.frames[-1][1] >= total

    await asyncio.to_thread(wait_until, came, f"the frame with {total} votes")


def _places(system: System, poll: str) -> dict[bytes, tuple[int, int, int]]:
    """(generation, partition, offset) of every ballot. The first cast counts here, so that ranks are negative."""
    statement = "SELECT ballot, rank FROM ballots WHERE poll = (SELECT number FROM polls WHERE id = %s)"
    with system.connect() as connection:
        rows: list[Any] = connection.execute(statement, [poll]).fetchall()
    return {ballot.bytes: positions.unpack(-rank) for ballot, rank in rows}


def _delays(
    votes: dict[bytes, float], places: dict[bytes, tuple[int, int, int]], watch: Watch
) -> tuple[list[float], list[float]]:
    """Seconds from accepted to counted and to the socket, of every vote."""
    if any(not ranges for _, ranges in watch.notes):
        raise BenchError("a notification did not name its ranges")
    note_of: dict[bytes, int] = {}
    by_place: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
    for number, (_, ranges) in enumerate(watch.notes):
        for one in ranges:
            by_place.setdefault((one.generation, one.partition), []).append((one.first, one.next, number))
    for ballot, (generation, partition, offset) in places.items():
        covering = [n for first, after, n in by_place[generation, partition] if first <= offset < after]
        note_of[ballot] = min(covering)
    sizes = [0] * len(watch.notes)
    for number in note_of.values():
        sizes[number] += 1
    totals = list(accumulate(sizes))
    shown_totals = [total for _, total in watch.frames]
    counted = [watch.notes[note_of[ballot]][0] - at for ballot, at in votes.items()]
    shown = [watch.frames[bisect_left(shown_totals, totals[note_of[ballot]])][0] - at for ballot, at in votes.items()]
    return counted, shown


def _figure(name: str, share: float, delays: list[float], bare: list[float], bare_name: str) -> Figure:
    value, limit = percentile(delays, share) * 1000, percentile(bare, share) * 1000
    return Figure(f"{name}, p{share * 100:.0f}", value, "ms", limit, bare_name)


def _even(count: int) -> list[float]:
    return [(number + 0.5) / count for number in range(count)]
