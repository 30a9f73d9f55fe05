"""Measuring: minutes at four fifths of the accepted maximum: the memory of each process must stay as it is.

What is read is what a process has for itself alone. The limit of each figure is what it had when the load had warmed
it up; the lag shows that all is counted as fast as it comes.
"""

from __future__ import annotations

import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench import wrk
from bench.children import ask, helper
from bench.http_accept import OPTIONS
from bench.latency import CONNECTIONS, SHARE, maximum
from bench.report import Figure, Goal, Part
from bench.system import BenchError, System

LOOKS = 100
WARM = 0.2
"""Part of the time after which, for as long again, what a process holds counts as its measure."""

_SMALL = 4.0
"""Megabytes below which a process is not worth a line."""

_FLAT = Goal(ratio=1.1, most=True)


def measure(*, minutes: float, search: float) -> Part:
    """So many minutes; `search`: seconds of looking for the maximum."""
    program = wrk.ensure()
    samples: list[dict[str, Any]] = []
    with System() as system:
        system.start("api", "bridge", "worker", "beat")
        rate = SHARE * maximum(program, system, search)
        poll = system.create_poll("Are you still there?", OPTIONS)
        host, port = system.address
        with (
            helper("steady", [host, port, f"/api/polls/{poll}/vote", CONNECTIONS]) as sending,
            ThreadPoolExecutor(1) as pool,
        ):
            began = time.monotonic()
            load = pool.submit(ask, sending, f"{rate} {minutes * 60} 0")
            while not load.done():
                samples.append(_look(system, began))
                time.sleep(minutes * 60 / LOOKS)
            run: dict[str, Any] = json.loads(load.result())
        system.wait_until_counted()
        counted = json.loads(system.ask("GET", f"/api/polls/{poll}"))["total_votes"]
    if counted != run["votes"]:
        raise BenchError(f"{run['votes']} votes were accepted, and {counted} counted")
    figures = [
        *memory_figures([sample["megabytes"] for sample in samples]),
        Figure("lag, the most", max(sample["lag"] for sample in samples), "votes"),
        Figure("due to answered, p99", run["answered"]["p99"] * 1000, "ms"),
    ]
    raw = {"rate": rate, "minutes": minutes, "run": run, "samples": samples}
    return Part(f"soak: {minutes:g} minutes at {rate:,.0f} votes/s", figures, raw)


def memory_figures(megabytes: list[dict[str, float]]) -> list[Figure]:
    """What each process held at the end, beside what it held when it had warmed up: medians of a fifth of the time."""
    fifth = max(1, int(WARM * len(megabytes)))
    warm, last = megabytes[fifth : 2 * fifth] or megabytes[:1], megabytes[-fifth:]

    def middle(of: list[dict[str, float]], name: str) -> float:
        return statistics.median(sample.get(name, 0.0) for sample in of)

    pairs = {name: (middle(last, name), middle(warm, name)) for name in megabytes[-1]}
    return [
        Figure(f"memory of {name}", end, "MB", begin, "when it had warmed up", _FLAT)
        for name, (end, begin) in sorted(pairs.items(), key=lambda one: -one[1][0])
        if end >= _SMALL and begin > 0
    ]


def _look(system: System, began: float) -> dict[str, Any]:
    held = {name: round(size, 2) for name, size in system.own_memory().items()}
    return {"seconds": round(time.monotonic() - began, 1), "megabytes": held, "lag": system.lag()}
