"""Tests: waits for a condition, with a limit, and never for a time alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

LIMIT = 60.0
"""Seconds that a wait may take before the test fails; generous, for a machine that is busy with other things."""

PAUSE = 0.03


def until(condition: Callable[[], T], what: str, limit: float = LIMIT) -> T:
    """The first answer of `condition` that is true. Fails after `limit` seconds, saying what did not come about."""
    deadline = time.monotonic() + limit
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {limit:g} s: {what}; the last answer was {answer!r}"
        time.sleep(PAUSE)


async def until_async(condition: Callable[[], Awaitable[T]], what: str, limit: float = LIMIT) -> T:
    """The same, for a test whose sockets must be served meanwhile."""
    deadline = time.monotonic() + limit
    while True:
        answer = await condition()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {limit:g} s: {what}; the last answer was {answer!r}"
        await asyncio.sleep(PAUSE)
