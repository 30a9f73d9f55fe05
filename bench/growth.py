"""Measuring: what a vote, and a frame, costs as voters, polls, sockets and partitions become twice as many, again and
again: CPU seconds for a million of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

from bench import ledger, wrk
from bench.fan_out import OPTIONS as FEW_OPTIONS
from bench.fan_out import Pusher, readers, received
from bench.http_accept import OPTIONS
from bench.log_to_counted import let_go
from bench.producing import produce
from bench.report import Figure, Part
from bench.system import System, difference, wait_until

_MILLION = 1_000_000


class Point(NamedTuple):
    """With so many of them a million votes or frames cost `cost` CPU seconds, at `rate` a second."""

    many: int
    cost: float
    rate: float


class Sizes(NamedTuple):
    """How many there are of each, from few to many; `votes` and `seconds` for each point."""

    voters: Sequence[int]
    polls: Sequence[int]
    sockets: Sequence[int]
    partitions: Sequence[int]
    votes: int
    seconds: float


def measure(sizes: Sizes) -> Part:
    """All four."""
    lines = {
        "voters": ("accepted by HTTP and counted", "CPU s/M votes", _voters(sizes)),
        "polls": ("log to counted", "CPU s/M votes", _polls(sizes)),
        "partitions": ("log to counted", "CPU s/M votes", _partitions(sizes)),
        "sockets": ("the API's, fan-out of one poll", "CPU s/M frames", _sockets(sizes)),
    }
    figures = [
        Figure(
            f"{what}: {points[-1].many:,} {name}", points[-1].cost, unit, points[0].cost, f"{points[0].many:,} {name}"
        )
        for name, (what, unit, points) in lines.items()
    ]
    raw: dict[str, Any] = {
        name: {"what": what, "unit": unit, "points": [point._asdict() for point in points]}
        for name, (what, unit, points) in lines.items()
    }
    return Part("growth: what one costs where there are more", figures, raw)


def _voters(sizes: Sizes) -> list[Point]:
    """Connections over which votes come as fast as they are answered; all that counts them costs, too."""
    program = wrk.ensure()
    points = []
    with System() as system:
        system.start("api", "bridge", "worker", "beat")
        poll = system.create_poll("How many are you?", OPTIONS)
        wrk.vote(program, system.address, poll, sizes.seconds)
        system.wait_until_counted()
        for many in sizes.voters:
            before = system.cpu_seconds()
            run = wrk.vote(program, system.address, poll, sizes.seconds, connections=many)
            system.wait_until_counted()
            used = sum(difference(before, system.cpu_seconds()).values())
            points.append(Point(many, used / run["requests"] * _MILLION, run["rate"]))
    return points


def _polls(sizes: Sizes) -> list[Point]:
    """Polls over which the same votes are spread; the first run warms up."""
    points = []
    with System() as system:
        counted = 0
        for many in (sizes.polls[0], *sizes.polls):
            polls = ledger.seed(system, many)
            expected = produce(system, polls, sizes.votes)
            run = let_go(system, sizes.votes, counted)
            counted += sizes.votes
            ledger.check(system, polls, expected)
            points.append(Point(many, sum(run.cpu.values()) / run.measured * _MILLION, run.rate))
    return points[1:]


def _partitions(sizes: Sizes) -> list[Point]:
    """Partitions of the log, in a system of their own each."""
    points = []
    for many in sizes.partitions:
        with System(VOTES_PARTITIONS=str(many)) as system:
            polls = ledger.seed(system, 1)
            for counted in (0, sizes.votes):
                produce(system, polls, sizes.votes)
                run = let_go(system, sizes.votes, counted)
            points.append(Point(many, sum(run.cpu.values()) / run.measured * _MILLION, run.rate))
    return points


def _sockets(sizes: Sizes) -> list[Point]:
    """Sockets that watch one poll; at each point more are added."""
    points = []
    with System() as system, ExitStack() as stack:
        system.start("api")
        poll = system.create_poll("Who is watching?", FEW_OPTIONS)
        host, api = system.address
        pusher = Pusher(system, poll)
        watching: list[Any] = []
        there = 0
        for many in sizes.sockets:
            more = stack.enter_context(readers(host, api, f"/?poll={poll}", many - there))
            wait_until(lambda more=more, new=many - there: received(more) >= new, "every socket has its first snapshot")  # type: ignore[misc]
            watching += more
            there = many
            pusher.push(watching, many, sizes.seconds)
            run = pusher.push(watching, many, 2 * sizes.seconds)
            points.append(Point(many, _MILLION / run["per_cpu_second"], run["frames"] / (2 * sizes.seconds)))
    return points
