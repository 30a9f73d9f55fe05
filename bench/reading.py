"""Measuring: a poll's results read over HTTP, whole and by who knows them already, beside a handler that does nothing.

Taken in turns, A B A B, and medians of them. Nobody votes meanwhile.
"""

from __future__ import annotations

import http.client
import statistics
from typing import Any

from bench import wrk
from bench.children import helper
from bench.http_accept import OPTIONS
from bench.report import Figure, Goal, Part
from bench.system import BenchError, System
from polling.local import ports

_LIMIT = "a Tornado handler that answers the same bytes"
_KINDS = {"200": "read", "304": "read again, and nothing is new"}


def measure(*, seconds: float, rounds: int) -> Part:
    """`seconds` for each of the 4 × `rounds` measurements."""
    program = wrk.ensure()
    runs: dict[str, list[dict[str, Any]]] = {f"{who} {kind}": [] for kind in _KINDS for who in ("door", "handler")}
    with System() as system:
        system.start("api", "bridge", "worker", "beat")
        poll = system.create_poll("What is your favorite language?", OPTIONS)
        wrk.vote(program, system.address, poll, 1)
        system.wait_until_counted()
        path = f"/api/polls/{poll}"
        body, etag = _look(system.address, path)
        plain = ("127.0.0.1", ports.any_free())
        with helper("plain_handler", [plain[1], len(body)]):
            for number in range(rounds + 1):
                for kind in _KINDS:
                    for who, address in (("door", system.address), ("handler", plain)):
                        words = [etag] if kind == "304" else []
                        long = seconds if number else 1.0
                        run = wrk.run(program, address, path, long, script="read.lua", words=words)
                        if number:  # the first is not measured
                            runs[f"{who} {kind}"].append(run)
        if _look(system.address, path) != (body, etag):
            raise BenchError("the poll changed while it was read")
    figures = [
        Figure(f"{words} ({kind})", _median(runs, "door", kind, "rate"), "requests/s",
               _median(runs, "handler", kind, "rate"), _LIMIT, Goal(ratio=0.8))
        for kind, words in _KINDS.items()
    ]  # fmt: skip
    return Part(f"results read: one API process, {wrk.CONNECTIONS} connections", figures, {"runs": runs})


def _look(address: tuple[str, int], path: str) -> tuple[bytes, str]:
    """The answer's body and ETag.

    Raises:
        BenchError: it is not answered 304 to who knows it.
    """
    connection = http.client.HTTPConnection(*address, timeout=30)
    try:
        connection.request("GET", path)
        first = connection.getresponse()
        body, etag = first.read(), first.headers["ETag"]
        connection.request("GET", path, headers={"If-None-Match": etag})
        again = connection.getresponse()
        again.read()
    finally:
        connection.close()
    if (first.status, again.status) != (200, 304):
        raise BenchError(f"GET {path}: {first.status}, and then {again.status}")
    return body, etag


def _median(runs: dict[str, list[dict[str, Any]]], who: str, kind: str, key: str) -> float:
    return float(statistics.median(run[key] for run in runs[f"{who} {kind}"]))
