"""A loop that stands still: the process ends and says where it stood."""

from __future__ import annotations

import subprocess
import sys

LOOP = """
import asyncio, threading, time
from polling.api.watchdog import Watchdog

async def turn():
    watchdog = Watchdog(limit=1)
    for _ in range(30):
        watchdog.hear()
        await asyncio.sleep(0.05)
    print("it turned", flush=True)
    {then}

def stand_still():
    threading.Lock().acquire() and threading.Event().wait()

asyncio.run(turn())
"""


def run(then: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", LOOP.format(then=then)]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def test_a_loop_that_stands_still_ends_the_process() -> None:
    ended = run("stand_still()")
    assert ended.stdout == "it turned\n"
    assert ended.returncode == 1
    assert "stand_still" in ended.stderr


def test_a_loop_that_rests_does_not() -> None:
    ended = run("watchdog.rest(); time.sleep(1.5)")
    assert (ended.returncode, ended.stderr) == (0, "")
