"""Measuring: one poll that changes to many sockets of one API process, in frames for each second of its CPU.

New results are published as a worker does, each step of the hub's pace, so that every one of them is a frame to every
socket. The process's whole CPU counts: Redis's messages, building the frame, sending it. Beside it a bare loop of
`send()` with a frame that is ready, at the same pace. Taken in turns.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from typing import Any

from bench.children import ask, helper
from bench.report import Figure, Part
from bench.system import BenchError, System, wait_until
from polling.core.polls import Results
from polling.live import LivePublisher
from polling.local import ports
from websocket import frames
from websocket.pace import STEP

ROUNDS = 2
_STEP = 1.2 * STEP
"""A little longer than the hub's own, so that it conflates nothing."""


def measure(*, sockets: int, seconds: float) -> Part:
    """Each measurement takes `seconds`; there are four."""
    hub: list[dict[str, float]] = []
    bare: list[dict[str, float]] = []
    port = ports.any_free()
    with System() as system:
        system.start("api")
        poll_id = system.create_poll("What is your favorite language?", ["JavaScript", "Python", "Java"])
        publisher = LivePublisher(system.settings.redis_url)
        host, api = system.address
        with (
            helper("receivers", [host, api, f"/?poll={poll_id}", sockets]) as watching,
            helper("bare_sending", [port, sockets]) as sending,
            helper("receivers", [host, port, "/", sockets]) as reading,
        ):
            wait_until(lambda: _say(watching) >= sockets, "every socket has its first snapshot")
            revision = 0
            frame = b""
            for _ in range(ROUNDS):
                before, used = _say(watching), system.cpu_seconds()["api"]
                begun = time.monotonic()
                first = revision
                while (due := (revision - first) * _STEP) < seconds:
                    time.sleep(max(0.0, begun + due - time.monotonic()))
                    revision += 1
                    results = Results(poll_id, revision, (123_456 + revision, 234_567, 34_567), "open", False)
                    publisher.results([results])
                sent = (revision - first) * sockets
                _await_frames(watching, before + sent)
                hub.append(_run(_say(watching) - before, system.cpu_seconds()["api"] - used, sent))
                frame = frame or _frame(system, poll_id, results)
                bare.append(_send_bare(sending, seconds, frame))
            _await_frames(reading, int(sum(run["frames"] for run in bare)))
    limit = statistics.median(run["per_cpu_second"] for run in bare)
    figures = [
        Figure(
            f"to {sockets:,} sockets",
            statistics.median(run["per_cpu_second"] for run in hub),
            "frames/CPU s",
            limit,
            "a bare send() loop",
        )
    ]
    return Part("fan-out: one poll, one API process", figures, {"hub": hub, "bare": bare, "step": _STEP})


def _await_frames(receivers: subprocess.Popen[str], wanted: int) -> None:
    """Frames on their way get two seconds. Fewer are no error: a busy hub may conflate."""
    deadline = time.monotonic() + 2
    while _say(receivers) < wanted and time.monotonic() < deadline:
        time.sleep(0.05)


def _frame(system: System, poll_id: str, results: Results) -> bytes:
    """A frame of the same size as the hub's."""
    poll: dict[str, Any] = json.loads(system.ask("GET", f"/api/polls/{poll_id}"))
    options = [{**option, "votes": votes} for option, votes in zip(poll["options"], results.counts, strict=True)]
    body = {"type": "results", "poll_id": poll_id, "revision": results.revision, "total_votes": results.total}
    shown = {**body, "status": "open", "final": False, "options": [{**o, "share": 1 / 3} for o in options]}
    return frames.text(json.dumps(shown, separators=(",", ":")).encode())


def _send_bare(sending: subprocess.Popen[str], seconds: float, frame: bytes) -> dict[str, float]:
    answer = ask(sending, f"{seconds} {_STEP} {frame.hex()}").split()
    return _run(int(answer[0]), float(answer[1]), int(answer[0]))


def _run(delivered: int, cpu_seconds: float, sent: int) -> dict[str, float]:
    if delivered == 0 or cpu_seconds == 0:
        raise BenchError("no frame was delivered")
    return {
        "frames": delivered,
        "expected": sent,
        "cpu_seconds": cpu_seconds,
        "per_cpu_second": delivered / cpu_seconds,
    }


def _say(receivers: subprocess.Popen[str]) -> int:
    return int(ask(receivers, ""))
