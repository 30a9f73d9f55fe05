"""Measuring: votes accepted over WebSockets by one API process, beside a Tornado handler that echoes the same frames.

Both by the same client, in turns. Everything behind the door runs and counts. Sockets of addresses that are limited
may send 100 frames a second each, which is not what is asked here: loopback is exempt, as it is by default.
"""

from __future__ import annotations

import json
import statistics
import subprocess
from typing import Any

from bench.children import ask, helper
from bench.http_accept import OPTIONS
from bench.report import Figure, Goal, Part, cpu_figures
from bench.system import BenchError, System, difference
from polling.local import ports

SOCKETS = 100
IN_FLIGHT = 10
_ECHO = "a Tornado echo of the same frames"


def measure(*, seconds: float, rounds: int) -> Part:
    """`seconds` for each of the 2 × `rounds` measurements."""
    doors: list[dict[str, Any]] = []
    echoes: list[dict[str, Any]] = []
    cpu: dict[str, float] = {}
    with System(RATE_LIMIT_EXEMPT="127.0.0.0/8") as system:
        system.start("api", "bridge", "worker", "beat")
        poll = system.create_poll("What is your favorite language?", OPTIONS)
        text = json.dumps({"type": "vote", "poll": poll, "option": "Python", "ref": 1}, separators=(",", ":"))
        port = ports.any_free()
        host, api = system.address
        words = [SOCKETS, IN_FLIGHT, text.encode().hex()]
        with (
            helper("plain_handler", [port, 0]),
            helper("socket_voters", [host, api, *words]) as voting,
            helper("socket_voters", [host, port, *words]) as echoing,
        ):
            warm = _run(voting, seconds / 2)["total"]
            _run(echoing, 1)
            system.wait_until_counted()
            for _ in range(rounds):
                before = system.cpu_seconds()
                doors.append(_run(voting, seconds))
                system.wait_until_counted()
                for role, used in difference(before, system.cpu_seconds()).items():
                    cpu[role] = cpu.get(role, 0.0) + used
                echoes.append(_run(echoing, seconds))
        counted = json.loads(system.ask("GET", f"/api/polls/{poll}"))["total_votes"]
    votes = sum(door["total"] for door in doors)
    if counted != warm + votes:
        raise BenchError(f"{warm + votes} votes were accepted, and {counted} counted")
    figures = [
        Figure("accepted", _median(doors), "votes/s", _median(echoes), _ECHO, Goal(ratio=0.6)),
        *cpu_figures(cpu, votes),
    ]
    raw = {"door": doors, "echo": echoes, "cpu_seconds": cpu, "votes": votes, "counted": counted}
    return Part(f"WebSockets: one API process, {SOCKETS} sockets, {IN_FLIGHT} votes in flight each", figures, raw)


def _run(voters: subprocess.Popen[str], seconds: float) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(ask(voters, str(seconds)))
    return {**result, "rate": result["answered"] / result["seconds"]}


def _median(runs: list[dict[str, Any]]) -> float:
    return float(statistics.median(run["rate"] for run in runs))
