"""Waiting in the sockets' tests, bounded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


async def until(condition: Callable[[], object], within: float = 30.0) -> None:
    """Waits until it holds; a generous limit, for the machine may be busy."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "did not come to hold in time"
        await asyncio.sleep(0.01)
