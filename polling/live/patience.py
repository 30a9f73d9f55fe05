"""Step 6 of 7, tell: how long an answer is waited for, counted so that a stall of this process does not use it up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

STEPS = 5


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """As `asyncio.timeout`, for answers that this loop has to read by itself.

    A loop that was held up for longer than the limit would find its timer due before it has read the answer, which
    came long ago. So the limit runs in `STEPS`, and each begins when the loop has got round to the end of the one
    before: a stall, however long, costs one step. A loop that is not held up waits for `seconds` in all.

    It is the only limit that may stand around a command: redis-py's own timeouts know of no stalls, and `wait_for`,
    by which it limits sending, loses a cancellation now and then (Python 3.11), so that a task could not be ended.

    Raises:
        TimeoutError: the time is up.
    """
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle

    def begin(step: int) -> None:
        nonlocal timer
        if step < STEPS:
            timer = loop.call_later(seconds / STEPS, begin, step + 1)
        else:
            limit.reschedule(loop.time())

    async with asyncio.timeout(None) as limit:
        begin(0)
        try:
            yield
        finally:
            timer.cancel()
