"""Step 7 of 7, show: reads snapshots from PostgreSQL, many polls at a time, however many sockets ask."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from polling import telemetry
from polling.core.errors import PollNotFound, StoreUnavailable
from polling.core.polls import Poll, Results
from polling.store.door import Store

log = telemetry.logger(__name__)

BATCH = 500
"""Polls in one query."""

AGAIN = 1.0
"""Seconds before PostgreSQL is asked again after it did not answer."""


class Readings:
    """One query at a time. What is asked for while it runs is in the next one, so that no answer is older than its
    question. Every reading goes to `on_results`; polls that have none (they were deleted) to `on_gone`.
    """

    def __init__(
        self,
        store: Store,
        on_results: Callable[[list[Results]], None],
        on_gone: Callable[[Poll], None],
    ) -> None:
        self._store = store
        self._on_results = on_results
        self._on_gone = on_gone
        self._wanted: dict[str, Poll] = {}
        self._waiting: dict[str, asyncio.Future[Results]] = {}
        self._task: asyncio.Task[None] | None = None

    def want(self, polls: Iterable[Poll]) -> None:
        """Reads these soon, and until PostgreSQL has answered."""
        for poll in polls:
            self._wanted[poll.id] = poll
        self._wake()

    async def read(self, poll: Poll) -> Results:
        """Reads one now.

        Raises:
            PollNotFound: it is gone.
            StoreUnavailable: PostgreSQL is away.
        """
        answer = self._waiting.get(poll.id)
        if answer is None:
            answer = self._waiting[poll.id] = asyncio.get_running_loop().create_future()
            # Whoever asked may be gone when the answer is an error.
            answer.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._wanted[poll.id] = poll
        self._wake()
        return await asyncio.shield(answer)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for answer in self._waiting.values():
            answer.cancel()

    def _wake(self) -> None:
        if self._wanted and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._read_all(), name="hub-readings")

    async def _read_all(self) -> None:
        while self._wanted:
            # Those that somebody waits for come first.
            first = [poll_id for poll_id in self._waiting if poll_id in self._wanted]
            chosen = list(dict.fromkeys([*first, *self._wanted]))[:BATCH]
            batch = {poll_id: self._wanted.pop(poll_id) for poll_id in chosen}
            waiting = {poll_id: self._waiting.pop(poll_id) for poll_id in chosen if poll_id in self._waiting}
            try:
                found = await self._store.results(list(batch.values()))
            except StoreUnavailable as away:
                self._refuse(waiting, away)
                for poll_id, poll in batch.items():
                    if poll_id not in waiting:
                        self._wanted.setdefault(poll_id, poll)
                await self._pause()
                continue
            except Exception:
                log.exception("results could not be read", polls=len(batch))
                self._refuse(waiting, StoreUnavailable())
                await self._pause()
                continue
            self._deliver(batch, waiting, found)

    async def _pause(self) -> None:
        """Waits before the next question, but no longer than until somebody waits for an answer."""
        loop = asyncio.get_running_loop()
        again = loop.time() + AGAIN
        while loop.time() < again and not self._waiting:
            await asyncio.sleep(AGAIN / 10)

    def _deliver(
        self, batch: dict[str, Poll], waiting: dict[str, asyncio.Future[Results]], found: list[Results]
    ) -> None:
        self._on_results(found)
        for one in found:
            batch.pop(one.poll_id, None)
            answer = waiting.pop(one.poll_id, None)
            if answer is not None and not answer.done():
                answer.set_result(one)
        for poll_id, poll in batch.items():
            answer = waiting.pop(poll_id, None)
            if answer is not None and not answer.done():
                answer.set_exception(PollNotFound())
            self._on_gone(poll)

    @staticmethod
    def _refuse(waiting: dict[str, asyncio.Future[Results]], error: StoreUnavailable) -> None:
        for answer in waiting.values():
            if not answer.done():
                answer.set_exception(StoreUnavailable(error.detail))
