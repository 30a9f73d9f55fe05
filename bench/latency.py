"""Measuring: from accepted to counted, and to the socket, at steady rates of votes over HTTP.

*Accepted* is when the client has the 202. *Counted* is when a connection that listens to PostgreSQL hears the
notification whose ranges cover the vote's place in the log, which its stored ballot tells afterwards. *Socket* is when
a WebSocket gets the frame whose total holds the vote's batch and all batches before it. One rate is fixed; the other
is a part of what wrk gets accepted in the same run.
"""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import time
from typing import Any

from bench import wrk
from bench.children import ask, helper
from bench.floor import hear_one_by_one
from bench.http_accept import OPTIONS
from bench.report import Figure, Goal, Part, percentile
from bench.system import System, wait_until
from bench.watching import Delays, Watch, delays_of
from polling.core import positions
from websocket.pace import STEP

SHARE = 0.8
"""Of the accepted maximum."""

CONNECTIONS = 200
_WARM_RATE = 100
_LISTEN_LIMIT = 60.0
_BARE = "a bare consumer, one statement a vote, its notification"
_GOALS = {
    "usual": {0.5: 12, 0.99: 60},
    "busy": {0.99: 300},
}
"""Milliseconds to counted, by the share of votes. The socket may be one step of the pace later."""


def measure(*, rate: int, seconds: float, search: float) -> Part:
    """`rate` votes a second for `seconds`, then a part of the maximum for as long.

    `search`: seconds of looking for that.
    """
    program = wrk.ensure()
    raw: dict[str, Any] = {}
    figures: list[Figure] = []
    with System() as system:
        system.start("api", "bridge", "worker", "beat")
        usual = asyncio.run(_at(system, rate, seconds))
        most = maximum(program, system, search)
        busy = asyncio.run(_at(system, SHARE * most, seconds))
        poll = system.create_poll("One by one?", OPTIONS)
        system.stop("bridge")
        system.stop("worker")
        hearing = hear_one_by_one(system, poll)
    for name, at, (delays, run) in (("usual", rate, usual), ("busy", SHARE * most, busy)):
        where = f"at {at:,.0f}/s"
        figures += _figures(where, delays, hearing, _GOALS[name])
        figures.append(Figure(f"{where}: due to answered, p99", run["answered"]["p99"] * 1000, "ms"))
        figures.append(Figure(f"{where}: sent behind its schedule, p99", run["late"] * 1000, "ms"))
        raw[name] = {"rate": at, **run, "milliseconds": _spread(delays)}
    raw["maximum"] = most
    raw["limit_milliseconds"] = {f"p{share * 100:g}": percentile(hearing, share) * 1000 for share in _SHARES}
    return Part(f"latency over HTTP, at {rate}/s and at {SHARE:.0%} of {most:,.0f}/s", figures, raw)


def maximum(program: str, system: System, seconds: float) -> float:
    """Votes a second that wrk gets accepted, once all is warm; returns when they are counted."""
    poll = system.create_poll("How many at most?", OPTIONS)
    wrk.vote(program, system.address, poll, seconds / 2)
    system.wait_until_counted()
    rate = float(wrk.vote(program, system.address, poll, seconds)["rate"])
    system.wait_until_counted()
    return rate


_SHOWN = (0.5, 0.99)
_SHARES = (0.1, 0.5, 0.9, 0.95, 0.99, 0.999)


async def _at(system: System, rate: float, seconds: float) -> tuple[Delays, dict[str, Any]]:
    """The delays of votes to a poll of their own, and what their sender said."""
    poll = await asyncio.to_thread(system.create_poll, "What is your favorite language?", OPTIONS)
    watch = Watch(system, poll)
    listening, looking = asyncio.Event(), asyncio.Event()
    watching = [asyncio.create_task(watch.listen(listening)), asyncio.create_task(watch.look(looking))]
    try:
        async with asyncio.timeout(_LISTEN_LIMIT):
            await asyncio.gather(listening.wait(), looking.wait())
        run, warm = await asyncio.to_thread(_send, system, poll, rate, seconds)
        await asyncio.to_thread(system.wait_until_counted)
        total = run["votes"] + warm
        await asyncio.to_thread(wait_until, lambda: watch.frames[-1][1] >= total, f"the frame with {total} votes")
    finally:
        for task in watching:
            task.cancel()
        ended = await asyncio.gather(*watching, return_exceptions=True)
    for error in ended:
        if isinstance(error, Exception):
            raise error
    accepted = {base64.urlsafe_b64decode(vote_id)[:16]: at for vote_id, at in run.pop("accepted")}
    delays = delays_of(accepted, await asyncio.to_thread(_places, system, poll), watch.notes, watch.frames)
    return delays, {**run, "batches": len(watch.notes), "frames": len(watch.frames)}


def _send(system: System, poll: str, rate: float, seconds: float) -> tuple[dict[str, Any], int]:
    """What the sender says of its votes, and how many it sent before them to warm up."""
    host, port = system.address
    with helper("steady", [host, port, f"/api/polls/{poll}/vote", CONNECTIONS]) as sending:
        warm = _run(sending, _WARM_RATE, 2, keep=False)["votes"]
        time.sleep(1)
        return _run(sending, rate, seconds, keep=True), warm


def _run(sending: subprocess.Popen[str], rate: float, seconds: float, *, keep: bool) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(ask(sending, f"{rate} {seconds} {keep:d}"))
    return result


def _places(system: System, poll: str) -> dict[bytes, tuple[int, int, int]]:
    """(generation, partition, offset) of every ballot. The first cast counts here, so that ranks are negative."""
    statement = "SELECT ballot, rank FROM ballots WHERE poll = (SELECT number FROM polls WHERE id = %s)"
    with system.connect() as connection:
        rows: list[Any] = connection.execute(statement, [poll]).fetchall()
    return {ballot.bytes: positions.unpack(-rank) for ballot, rank in rows}


def _figures(where: str, delays: Delays, hearing: list[float], goals: dict[float, int]) -> list[Figure]:
    paced = [delay + share * STEP for share, delay in zip(_even(len(hearing)), sorted(hearing), strict=True)]
    pace = f"the same, and the pace of one frame in {STEP * 1000:.0f} ms"
    after = [shown - counted for counted, shown in zip(*delays, strict=True)]
    found = []
    for share in _SHOWN:
        goal = goals.get(share)
        at_most = None if goal is None else Goal(value=goal, most=True)
        later = None if goal is None else Goal(value=goal + STEP * 1000, most=True)
        found.append(_figure(f"{where}: accepted to counted", share, delays.counted, hearing, _BARE, at_most))
        found.append(_figure(f"{where}: accepted to socket", share, delays.shown, paced, pace, later))
    return [*found, Figure(f"{where}: counted to socket, p99", percentile(after, 0.99) * 1000, "ms")]


def _figure(
    name: str, share: float, delays: list[float], bare: list[float], bare_name: str, goal: Goal | None
) -> Figure:
    value, limit = percentile(delays, share) * 1000, percentile(bare, share) * 1000
    return Figure(f"{name}, p{share * 100:.0f}", value, "ms", limit, bare_name, goal)


def _spread(delays: Delays) -> dict[str, dict[str, float]]:
    named = {"counted": delays.counted, "shown": delays.shown}
    return {
        name: {**{f"p{share * 100:g}": percentile(one, share) * 1000 for share in _SHARES}, "max": max(one) * 1000}
        for name, one in named.items()
    }


def _even(count: int) -> list[float]:
    return [(number + 0.5) / count for number in range(count)]
