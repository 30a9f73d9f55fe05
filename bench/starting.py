"""Measuring: `polling up` on data that is there already, from the command to the first vote counted.

Beside it Kafka with its ZooKeeper alone, on the same data: nothing that needs a log can be there sooner. In turns.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from bench.http_accept import OPTIONS
from bench.report import Figure, Goal, Part
from bench.system import POLLING, ROOT, STEP_LIMIT, BenchError, wait_until
from polling.local.servers import Servers

MORE = 4.0
"""Seconds that all the rest may take."""

_PAUSE = 0.05
_STOP_LIMIT = 60.0


def measure(*, rounds: int) -> Part:
    """Each of the 2 × `rounds` starts takes some seconds."""
    ups: list[float] = []
    kafkas: list[float] = []
    with TemporaryDirectory(prefix="polling-bench-", ignore_cleanup_errors=True) as folder:
        data = Path(folder) / "data"
        with _up(data):
            poll = _until(lambda: _create(data))
            _until(lambda: _counted(data, poll))
        for _ in range(rounds):
            kafkas.append(_start_kafka(data))
            begun = time.monotonic()
            with _up(data):
                _until(lambda: _counted(data, poll))
                ups.append(time.monotonic() - begun)
    up, kafka = statistics.median(ups), statistics.median(kafkas)
    figures = [
        Figure("to the first vote counted", up, "s", kafka, "Kafka with its ZooKeeper alone"),
        Figure("which is more by", up - kafka, "s", goal=Goal(value=MORE, most=True)),
    ]
    return Part("start of the local system, the second time", figures, {"up": ups, "kafka": kafkas})


def _start_kafka(data: Path) -> float:
    servers = Servers(data, postgres=False, redis=False)
    begun = time.monotonic()
    servers.start()
    seconds = time.monotonic() - begun
    servers.stop()
    return seconds


@contextmanager
def _up(data: Path) -> Iterator[None]:
    """The command, until the end of `with`. Its servers end with it even where it is killed."""
    (data / "addresses.json").unlink(missing_ok=True)
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    log = data.parent / "up.log"
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [*POLLING, "up", "--data", str(data)],
            cwd=ROOT,
            env=inherited,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield
            if process.poll() is not None:
                raise BenchError(
                    f"polling up ended with {process.returncode}: {log.read_text(encoding='utf-8')[-500:]}"
                )
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_LIMIT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _until(attempt: Any) -> str:
    """The first answer of an attempt that is one."""
    found: list[str] = []

    def tried() -> bool:
        answer = attempt()
        if answer:
            found.append(answer)
        return bool(found)

    wait_until(tried, "the local system is up", STEP_LIMIT, _PAUSE)
    return found[0]


def _create(data: Path) -> str:
    status, body = _ask(data, "/api/polls", {"question": "Are you up?", "options": list(OPTIONS)}, {})
    return str(body["id"]) if status == 201 else ""


def _counted(data: Path, poll: str) -> str:
    """Casts a vote, and waits until it is counted; the answer's word, or nothing where it came to nothing."""
    status, body = _ask(data, f"/api/polls/{poll}/vote", {"option": OPTIONS[0]}, {"Prefer": "wait=10"})
    return "counted" if status == 200 and body["status"] == "counted" else ""


def _ask(data: Path, path: str, value: dict[str, Any], headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
    """Status and body; status 0 where nobody answers yet."""
    try:
        address = urlsplit(json.loads((data / "addresses.json").read_text(encoding="utf-8"))["api"])
        connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=15)
        try:
            connection.request("POST", path, json.dumps(value), {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError):
        return 0, {}
