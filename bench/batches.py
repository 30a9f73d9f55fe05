"""Measuring: votes by the batch endpoint of one API process, beside a script that parses and produces the same lines.

First while nobody counts, so that the two compare as they are: counting takes more of the machine than either. Then
with everything behind the door running, which is what a user gets. In turns; at the end all must be counted.
"""

from __future__ import annotations

import json
import statistics
import subprocess
from typing import Any

from bench import wrk
from bench.children import ask, helper
from bench.http_accept import OPTIONS
from bench.report import Figure, Goal, Part
from bench.system import BenchError, System

LINES = 5000
CONNECTIONS = 4
_BARE = "the same lines by a bare script, without HTTP"


def measure(*, seconds: float, rounds: int) -> Part:
    """`seconds` for each of the 4 × `rounds` measurements."""
    program = wrk.ensure()
    runs: dict[str, list[dict[str, float]]] = {}
    with System() as system:
        system.start("api")
        poll = system.create_poll("What is your favorite language?", OPTIONS)
        with helper("bare_batching", [system.settings.kafka_broker]) as batching:
            produced = _door(program, system, poll, 1)["votes"] + _bare(batching, poll, 1)["votes"]
            for beside in ("nobody counts", "all is counted"):
                doors, bares = runs[f"door, {beside}"], runs[f"bare, {beside}"] = [], []
                if beside == "all is counted":
                    system.start("bridge", "worker")
                    system.wait_until_counted()
                for _ in range(rounds):
                    doors.append(_door(program, system, poll, seconds))
                    bares.append(_bare(batching, poll, seconds))
                produced += sum(run["votes"] for run in (*doors, *bares))
            system.wait_until_counted()
        counted = json.loads(system.ask("GET", f"/api/polls/{poll}"))["total_votes"]
    # wrk hangs up at its end, and does not count the batches that are under way then.
    if not produced <= counted <= produced + LINES * CONNECTIONS * (2 * rounds + 1):
        raise BenchError(f"{produced:,} votes were accepted, and {counted:,} counted")
    figures = [
        Figure("accepted while nobody counts", _rate(runs["door, nobody counts"]), "votes/s",
               _rate(runs["bare, nobody counts"]), _BARE, Goal(ratio=0.5, value=60_000)),
        Figure("for a CPU second of the process", _efficiency(runs["door, nobody counts"]), "votes/CPU s",
               _efficiency(runs["bare, nobody counts"]), _BARE),
        Figure("accepted while all is counted", _rate(runs["door, all is counted"]), "votes/s",
               _rate(runs["bare, all is counted"]), _BARE),
    ]  # fmt: skip
    name = f"batches: {LINES:,} lines a request, {CONNECTIONS} connections, one API process"
    return Part(name, figures, {"runs": runs, "produced": produced, "counted": counted})


def _door(program: str, system: System, poll: str, seconds: float) -> dict[str, float]:
    before = system.cpu_seconds()["api"]
    result: dict[str, Any] = wrk.run(
        program,
        system.address,
        f"/api/polls/{poll}/votes/batch",
        seconds,
        script="batch.lua",
        connections=CONNECTIONS,
        words=[str(LINES)],
    )
    used = system.cpu_seconds()["api"] - before
    return {"votes": result["requests"] * LINES, "seconds": result["microseconds"] / 1e6, "cpu_seconds": used}


def _bare(batching: subprocess.Popen[str], poll: str, seconds: float) -> dict[str, float]:
    result: dict[str, float] = json.loads(ask(batching, f"{seconds} {poll} {LINES}"))
    return result


def _rate(runs: list[dict[str, float]]) -> float:
    return statistics.median(run["votes"] / run["seconds"] for run in runs)


def _efficiency(runs: list[dict[str, float]]) -> float:
    return statistics.median(run["votes"] / run["cpu_seconds"] for run in runs)
