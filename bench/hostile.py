"""Measuring: what others feel of an attack: votes accepted beside it, next to those accepted without it.

The users vote as fast as they are answered; the attacker comes from another address, to which the limits apply as they
are by default. It runs on the same machine, whose processors it takes as well: the figures contain that. So what the
API itself spends on the attack, while nobody votes, is shown beside. Taken in turns, A B A B, and medians of the
ratios. `bench/attacks.py` has the attacks.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

from bench import wrk
from bench.attacks import ATTACKS
from bench.children import helper
from bench.report import Figure, Part
from bench.system import BenchError, System

SETTLE = 1.0
"""Seconds in which an attack gets going before anything is measured."""

MOST_GROWTH = 300.0
"""Megabytes by which the process may grow under all attacks together; more is a leak, and fails."""


def measure(*, seconds: float, rounds: int) -> Part:
    """`seconds` for each of the 2 × `rounds` measurements of each attack."""
    program = wrk.ensure()
    raw: dict[str, Any] = {}
    figures: list[Figure] = []
    with System(RATE_LIMIT_EXEMPT="127.0.0.1/32", RATE_LIMIT_VOTES="", RATE_LIMIT_VOTER="") as system:
        system.start("api", "bridge", "worker", "beat")
        poll = system.create_poll("What is your favorite language?", ["JavaScript", "Python", "Java", "Rust"])
        wrk.vote(program, system.address, poll, seconds)  # plans, caches, Java's compiler: not measured
        system.wait_until_counted()
        start = system.megabytes("api")
        for name in ATTACKS:
            alone: list[dict[str, Any]] = []
            beside: list[dict[str, Any]] = []
            spent: list[float] = []
            for _ in range(rounds):
                alone.append(_users(program, system, poll, seconds))
                with helper("attacks", [name, system.address[1], poll]) as attacker:
                    time.sleep(SETTLE)
                    before = system.cpu_seconds()["api"]
                    time.sleep(seconds)
                    spent.append((system.cpu_seconds()["api"] - before) / seconds)
                    beside.append(_users(program, system, poll, seconds))
                    if attacker.poll() is not None:
                        raise BenchError(f"the attack {name} ended with {attacker.returncode}")
            pairs = list(zip(beside, alone, strict=True))
            ratio = statistics.median(one["rate"] / other["rate"] for one, other in pairs)
            usual = statistics.median(other["rate"] for other in alone)
            figures.append(Figure(f"beside {ATTACKS[name].words}", usual * ratio, "votes/s", usual, "without it"))
            busy = statistics.median(spent)
            figures.append(Figure("  a processor's time that it takes of the API", busy * 100, "%"))
            raw[name] = {"alone": alone, "beside": beside, "ratio": ratio, "spent": spent}
            raw[name]["megabytes"] = system.megabytes("api")
        growth = system.megabytes("api") - start
    figures.append(Figure("the API grew under all of them by", growth, "MB"))
    if growth > MOST_GROWTH:
        raise BenchError(f"the API grew by {growth:.0f} MB")
    return Part("Hostile: one API process, users who vote, and an attacker of another address", figures, raw)


def _users(program: str, system: System, poll: str, seconds: float) -> dict[str, Any]:
    result = wrk.vote(program, system.address, poll, seconds)
    system.wait_until_counted()
    return result
