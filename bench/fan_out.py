"""Measuring: one poll that changes to many sockets of one API process, in frames for each second of its CPU.

New results are published as a worker does, each step of the hub's pace or more slowly, so that every one of them is a
frame to every socket. The process's whole CPU counts: Redis's messages, building the frame, sending it. Beside it a
bare loop of `send()` with a frame that is ready, at the same pace. Taken in turns.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from bench.children import ask, helper
from bench.report import Figure, Goal, Part
from bench.system import BenchError, System, wait_until
from polling.core.polls import Results
from polling.live import LivePublisher
from polling.local import ports
from websocket import frames
from websocket.pace import STEP

ROUNDS = 2
OPTIONS = ("JavaScript", "Python", "Java")
_PER_PROCESS = 2500
"""Sockets of one reading process."""

_MOST_A_SECOND = 40_000
"""Frames that the readers have to take together; more, and the sockets' buffers fill."""

_STALL = 3.0
"""Seconds without a frame after which no more are waited for."""

_OTHERS = 186_000
"""Frames a CPU second of Centrifugo 6 on such a machine: to be reached where a bare loop leaves room for it."""

_ROOM = 0.9

Readers = Sequence[subprocess.Popen[str]]


def measure(*, sockets: Sequence[int], seconds: float) -> Part:
    """For each of these numbers of sockets four measurements of `seconds`."""
    runs = {many: _beside(many, seconds) for many in sockets}
    figures = [
        Figure(
            f"to {many:,} sockets",
            _median(hub),
            "frames/CPU s",
            _median(bare),
            "a bare send() loop",
            _goal(_median(bare)),
        )
        for many, (hub, bare) in runs.items()
    ]
    raw = {str(many): {"hub": hub, "bare": bare, "step": step_for(many)} for many, (hub, bare) in runs.items()}
    return Part("fan-out: one poll, one API process", figures, raw)


def step_for(sockets: int) -> float:
    """Seconds between two frames to each: a little longer than the hub's own, so that it conflates nothing."""
    return max(1.2 * STEP, sockets / _MOST_A_SECOND)


@contextmanager
def readers(host: str, port: int, path: str, sockets: int) -> Iterator[Readers]:
    """So many sockets, in as many processes as that takes."""
    shares = [min(_PER_PROCESS, sockets - start) for start in range(0, sockets, _PER_PROCESS)]
    with ExitStack() as stack:
        yield [stack.enter_context(helper("receivers", [host, port, path, share])) for share in shares]


def received(watching: Readers) -> int:
    """Frames with results that have come to all of them by now."""
    return sum(int(ask(process, "")) for process in watching)


class Pusher:
    """Publishes ever newer results of one poll, as a worker does."""

    def __init__(self, system: System, poll_id: str) -> None:
        self._system = system
        self._poll_id = poll_id
        self._publisher = LivePublisher(system.settings.redis_url)
        self._revision = 0

    def push(self, watching: Readers, sockets: int, seconds: float) -> dict[str, float]:
        """What came of it: frames that arrived, and the CPU that the API took."""
        before, used = received(watching), self._system.cpu_seconds()["api"]
        step, begun, turns = step_for(sockets), time.monotonic(), 0
        while (due := turns * step) < seconds:
            time.sleep(max(0.0, begun + due - time.monotonic()))
            turns += 1
            self._revision += 1
            self._publisher.results([self.results()])
        _await_frames(watching, before + turns * sockets)
        return _run(received(watching) - before, self._system.cpu_seconds()["api"] - used, turns * sockets)

    def results(self) -> Results:
        """The newest."""
        return Results(self._poll_id, self._revision, (123_456 + self._revision, 234_567, 34_567), "open", False)


def _beside(sockets: int, seconds: float) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
    hub: list[dict[str, float]] = []
    bare: list[dict[str, float]] = []
    port = ports.any_free()
    with System() as system:
        system.start("api")
        poll_id = system.create_poll("What is your favorite language?", OPTIONS)
        host, api = system.address
        with (
            readers(host, api, f"/?poll={poll_id}", sockets) as watching,
            helper("bare_sending", [port, sockets]) as sending,
            readers(host, port, "/", sockets) as reading,
        ):
            wait_until(lambda: received(watching) >= sockets, "every socket has its first snapshot")
            pusher = Pusher(system, poll_id)
            for _ in range(ROUNDS):
                hub.append(pusher.push(watching, sockets, seconds))
                frame = _frame(system, poll_id, pusher.results())
                bare.append(_send_bare(sending, seconds, step_for(sockets), frame))
            _await_frames(reading, int(sum(run["frames"] for run in bare)))
    return hub, bare


def _await_frames(watching: Readers, wanted: int) -> None:
    """Waits for frames that are on their way, until none come any more. Fewer are no error: a busy hub may conflate."""
    last, since = received(watching), time.monotonic()
    while last < wanted and time.monotonic() - since < _STALL:
        time.sleep(0.05)
        if (now := received(watching)) > last:
            last, since = now, time.monotonic()


def _frame(system: System, poll_id: str, results: Results) -> bytes:
    """A frame of the same size as the hub's."""
    poll: dict[str, Any] = json.loads(system.ask("GET", f"/api/polls/{poll_id}"))
    options = [{**option, "votes": votes} for option, votes in zip(poll["options"], results.counts, strict=True)]
    body = {"type": "results", "poll_id": poll_id, "revision": results.revision, "total_votes": results.total}
    shown = {**body, "status": "open", "final": False, "options": [{**o, "share": 1 / 3} for o in options]}
    return frames.text(json.dumps(shown, separators=(",", ":")).encode())


def _send_bare(sending: subprocess.Popen[str], seconds: float, step: float, frame: bytes) -> dict[str, float]:
    answer = ask(sending, f"{seconds} {step} {frame.hex()}").split()
    return _run(int(answer[0]), float(answer[1]), int(answer[0]))


def _run(delivered: int, cpu_seconds: float, sent: int) -> dict[str, float]:
    if delivered == 0 or cpu_seconds == 0:
        raise BenchError(f"{delivered} frames were delivered, in {cpu_seconds} CPU seconds: too few to measure")
    per_second = delivered / cpu_seconds
    return {"frames": delivered, "expected": sent, "cpu_seconds": cpu_seconds, "per_cpu_second": per_second}


def _goal(limit: float) -> Goal:
    return Goal(ratio=0.7, value=_OTHERS if _ROOM * limit >= _OTHERS else None)


def _median(runs: list[dict[str, float]]) -> float:
    return statistics.median(run["per_cpu_second"] for run in runs)
