"""Measuring: votes at full rate while no worker counts: the log grows, and no process does.

The memory of every process is read again and again, then the worker is let go and all must be counted. The limit of
each figure is what the same process had when the load had warmed it up.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench import wrk
from bench.http_accept import OPTIONS
from bench.report import Figure, Part
from bench.system import BenchError, System

_LOOKS = 30
_MB = 1_000_000
WARM = 0.2
"""The part of the time after which what a process holds counts as its measure."""


def measure(*, seconds: float) -> Part:
    """So many seconds of votes by HTTP, without a worker."""
    program = wrk.ensure()
    with System() as system:
        system.start("api", "bridge", "worker", "beat")
        poll = system.create_poll("Is anybody counting?", OPTIONS)
        wrk.vote(program, system.address, poll, min(5.0, seconds / 4))
        system.wait_until_counted()
        already = _total(system, poll)
        system.stop("worker")
        samples = []
        with ThreadPoolExecutor(1) as pool:
            began = time.monotonic()
            load = pool.submit(wrk.vote, program, system.address, poll, seconds)
            while not load.done():
                samples.append(_look(system, began))
                time.sleep(seconds / _LOOKS)
            votes = int(load.result()["requests"])
        samples.append(_look(system, began))
        lag = system.lag()
        if lag < votes:
            raise BenchError(f"{votes} votes were accepted while nobody counted, and only {lag} are in the log")
        system.start("worker")
        system.wait_until_counted()
        counted = _total(system, poll) - already
        after = _look(system, began)
    if counted < votes:
        raise BenchError(f"{votes} votes were accepted, and {counted} counted")
    return Part(
        f"backpressure: {seconds:g} s of votes without a worker",
        [Figure("waiting in the log at the end", lag, "votes"), *_figures(samples)],
        {"votes": votes, "counted": counted, "lag": lag, "samples": samples, "after": after},
    )


def _look(system: System, began: float) -> dict[str, Any]:
    memory = {role: round(held / _MB, 1) for role, held in system.memory().items()}
    return {"seconds": round(time.monotonic() - began, 1), "megabytes": memory}


def _figures(samples: list[dict[str, Any]]) -> list[Figure]:
    warm = samples[int(WARM * (len(samples) - 1))]["megabytes"]
    most = {role: max(sample["megabytes"].get(role, 0.0) for sample in samples) for role in warm}
    return [
        Figure(f"most memory of {role}", held, "MB", warm[role], "when it had warmed up")
        for role, held in sorted(most.items(), key=lambda one: -one[1])
    ]


def _total(system: System, poll: str) -> int:
    return int(json.loads(system.ask("GET", f"/api/polls/{poll}"))["total_votes"])
