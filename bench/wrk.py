"""Measuring: the load generator wrk: found or installed, run with a script of ours, and its figures read."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.system import BenchError

CONNECTIONS = 64


def ensure() -> str:
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


def vote(
    wrk: str, address: tuple[str, int], poll: str, seconds: float, connections: int = CONNECTIONS
) -> dict[str, Any]:
    """Votes over all connections for so long; as `run`."""
    return run(wrk, address, f"/api/polls/{poll}/vote", seconds, script="vote.lua", connections=connections)


def run(
    wrk: str,
    address: tuple[str, int],
    path: str,
    seconds: float,
    *,
    script: str,
    connections: int = CONNECTIONS,
    words: Sequence[str] = (),
) -> dict[str, Any]:
    """Requests as the script makes them, which gets the `words`; what wrk counted, with its `requests` and their
    `rate` a second, `p50`, `p99` and `max` in microseconds, and the `client_cpu_seconds` that it used itself.

    Raises:
        BenchError: one was refused, or a connection broke.
    """
    url = f"http://{address[0]}:{address[1]}{path}"
    options = ["-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s"]
    command = [wrk, *options, "-s", str(Path(__file__).with_name(script)), url, *(("--", *words) if words else ())]
    before = _children_used()
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
    if done.returncode:
        raise BenchError(f"wrk: {done.stderr.strip() or done.stdout.strip()}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if result["bad_status"] or result["broken"]:
        raise BenchError(f"{url}: {result['bad_status']} refusals, {result['broken']} broken connections")
    rate = result["requests"] * 1e6 / result["microseconds"]
    return {**result, "rate": rate, "client_cpu_seconds": _children_used() - before}


def _children_used() -> float:
    """CPU seconds of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
