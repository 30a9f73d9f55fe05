"""Measuring: votes accepted over HTTP by the API, beside Tornado handlers that only parse and answer.

As many handlers as the API has processes. Taken in turns, A B A B, and medians of them. While votes are accepted
everything behind the door runs and counts; the handlers are measured when all is counted.
"""

from __future__ import annotations

import json
import statistics
from contextlib import ExitStack
from typing import Any

from bench import wrk
from bench.children import helper
from bench.report import Figure, Goal, Part, cpu_figures
from bench.system import BenchError, System, difference
from polling.local import ports

OPTIONS = ("JavaScript", "Python", "Java", "Rust")
_LIMITS = {
    1: ("a Tornado handler that parses and answers", Goal(ratio=0.9)),
    2: ("as many Tornado handlers that parse and answer", Goal(ratio=0.7)),
}
"""For one process, and for several."""


def measure(*, processes: int, seconds: float, rounds: int) -> Part:
    """`seconds` for each of the 2 × `rounds` measurements."""
    program = wrk.ensure()
    doors: list[dict[str, Any]] = []
    handlers: list[dict[str, Any]] = []
    cpu: dict[str, float] = {}
    with System(api_processes=processes) as system, ExitStack() as stack:
        system.start("api", "bridge", "worker", "beat")
        poll = system.create_poll("What is your favorite language?", OPTIONS)
        plain = ("127.0.0.1", ports.any_free())
        for _ in range(processes):
            stack.enter_context(helper("plain_handler", [plain[1], 0]))
        wrk.vote(program, system.address, poll, seconds / 2)  # plans, caches, Java's compiler: not measured
        wrk.vote(program, plain, poll, 1)
        system.wait_until_counted()
        for _ in range(rounds):
            before = system.cpu_seconds()
            doors.append(wrk.vote(program, system.address, poll, seconds))
            system.wait_until_counted()
            for role, used in difference(before, system.cpu_seconds()).items():
                cpu[role] = cpu.get(role, 0.0) + used
            handlers.append(wrk.vote(program, plain, poll, seconds))
        counted = json.loads(system.ask("GET", f"/api/polls/{poll}"))["total_votes"]
    votes = sum(door["requests"] for door in doors)
    if counted < votes:
        raise BenchError(f"{votes} votes were accepted, and {counted} counted")
    limit, goal = _LIMITS[min(processes, 2)]
    figures = [
        Figure("accepted", _median(doors, "rate"), "votes/s", _median(handlers, "rate"), limit, goal),
        Figure("answered, p50", _median(doors, "p50") / 1000, "ms", _median(handlers, "p50") / 1000, limit),
        Figure("answered, p99", _median(doors, "p99") / 1000, "ms", _median(handlers, "p99") / 1000, limit),
        *cpu_figures(cpu, votes),
    ]
    few = "one API process" if processes == 1 else f"{processes} API processes"
    raw = {"door": doors, "handler": handlers, "cpu_seconds": cpu, "votes": votes, "counted": counted}
    return Part(f"HTTP: {few}, {wrk.CONNECTIONS} connections", figures, {"processes": processes, **raw})


def _median(runs: list[dict[str, Any]], key: str) -> float:
    return float(statistics.median(run[key] for run in runs))
