"""Chaos: the watch over the doors itself: it names a door that hangs, with its stacks, and none that is felled."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.waiting import until

from chaos.arena import TESTS
from chaos.liveness import Door, Liveness
from polling.local import ports

DOOR = """
import faulthandler, http.server, sys, threading
from chaos.liveness import DUMP

faulthandler.register(DUMP)
asked = 0

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global asked
        asked += 1
        if asked > 2:
            hang_for_ever()
        self.send_response(200)
        self.end_headers()

def hang_for_ever():
    threading.Lock().acquire() and threading.Event().wait()

http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def door(log: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    port = ports.choose(taken=set())
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", DOOR, str(port)], stderr=output, env=os.environ | {"PYTHONPATH": str(TESTS)}
        )
    yield process, f"http://127.0.0.1:{port}"
    process.kill()
    process.wait(10)


def test_a_door_that_hangs_is_named_once_with_its_stacks(door: tuple[subprocess.Popen[bytes], str], log: Path) -> None:
    process, url = door
    liveness = Liveness([Door("api", url, lambda: process.pid)], hung_after=1)
    liveness.start()
    try:
        until(lambda: liveness.hung, "it is named")
        until(lambda: b"hang_for_ever" in log.read_bytes(), "its stacks are in its log")
    finally:
        liveness.stop()
    [words] = liveness.hung
    assert words.startswith(f"api (process {process.pid}): no answer for")
    assert "ticks" in words


def test_a_door_that_somebody_felled_is_not(door: tuple[subprocess.Popen[bytes], str]) -> None:
    _process, url = door
    asked = []

    def nobody() -> None:
        asked.append(1)

    liveness = Liveness([Door("api", url, nobody)], hung_after=0)
    liveness.start()
    until(lambda: len(asked) > 3, "it is looked at")
    liveness.stop()
    assert liveness.hung == []
