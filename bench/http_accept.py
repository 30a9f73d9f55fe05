"""Measuring: votes accepted over HTTP by one API process, beside a Tornado handler that only parses and answers.

Taken in turns, A B A B, and medians of them. While votes are accepted everything behind the door runs and counts;
the handler is measured when all is counted.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
from pathlib import Path
from typing import Any

from bench.children import helper
from bench.report import Figure, Part, cpu_figures
from bench.system import BenchError, System, difference
from polling.local import ports

CONNECTIONS = 64
SCRIPT = Path(__file__).with_name("vote.lua")
_HANDLER = "a Tornado handler that parses and answers"


def measure(*, seconds: float, rounds: int) -> Part:
    """`seconds` for each of the 2 × `rounds` measurements."""
    wrk = ensure_wrk()
    doors: list[dict[str, Any]] = []
    handlers: list[dict[str, Any]] = []
    cpu: dict[str, float] = {}
    with System() as system:
        system.start("api", "bridge", "worker", "beat")
        poll = system.create_poll("What is your favorite language?", ["JavaScript", "Python", "Java", "Rust"])
        port = ports.any_free()
        with helper("plain_handler", [port]):
            run_wrk(wrk, system.address, poll, seconds / 2)  # plans, caches, Java's compiler: not measured
            run_wrk(wrk, ("127.0.0.1", port), poll, 1)
            system.wait_until_counted()
            for _ in range(rounds):
                before = system.cpu_seconds()
                doors.append(run_wrk(wrk, system.address, poll, seconds))
                system.wait_until_counted()
                for role, used in difference(before, system.cpu_seconds()).items():
                    cpu[role] = cpu.get(role, 0.0) + used
                handlers.append(run_wrk(wrk, ("127.0.0.1", port), poll, seconds))
        counted = json.loads(system.ask("GET", f"/api/polls/{poll}"))["total_votes"]
    votes = sum(door["requests"] for door in doors)
    if counted < votes:
        raise BenchError(f"{votes} votes were accepted, and {counted} counted")
    figures = [
        Figure("accepted", _median(doors, "rate"), "votes/s", _median(handlers, "rate"), _HANDLER),
        Figure("answered, p50", _median(doors, "p50") / 1000, "ms", _median(handlers, "p50") / 1000, _HANDLER),
        Figure("answered, p99", _median(doors, "p99") / 1000, "ms", _median(handlers, "p99") / 1000, _HANDLER),
        *cpu_figures(cpu, votes),
    ]
    return Part(
        f"HTTP: one API process, {CONNECTIONS} connections",
        figures,
        {"door": doors, "handler": handlers, "cpu_seconds": cpu, "votes": votes, "counted": counted},
    )


def ensure_wrk() -> str:
    """The path of wrk; installed by apt where it is missing and we may.

    Raises:
        BenchError: it is missing.
    """
    found = shutil.which("wrk")
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        installing = ["apt-get", "install", "--yes", "--no-install-recommends", "wrk"]
        subprocess.run(installing, capture_output=True, timeout=300, check=False)
        found = shutil.which("wrk")
    if found is None:
        raise BenchError("wrk is missing: `apt-get install wrk` (Debian, Ubuntu) or `brew install wrk` brings it.")
    return found


def run_wrk(wrk: str, address: tuple[str, int], poll: str, seconds: float) -> dict[str, Any]:
    """Votes over all connections for so long; what wrk counted, with its `requests` and their `rate` a second.

    Raises:
        BenchError: a vote was not accepted.
    """
    url = f"http://{address[0]}:{address[1]}/api/polls/{poll}/vote"
    command = [
        wrk,
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{max(1, round(seconds))}s",
        "--timeout",
        "10s",
        "-s",
        str(SCRIPT),
        url,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
    if done.returncode:
        raise BenchError(f"wrk: {done.stderr.strip() or done.stdout.strip()}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if result["bad_status"] or result["broken"]:
        raise BenchError(f"{url}: {result['bad_status']} refusals, {result['broken']} broken connections")
    return {**result, "rate": result["requests"] * 1e6 / result["microseconds"]}


def _median(runs: list[dict[str, Any]], key: str) -> float:
    return float(statistics.median(run[key] for run in runs))
