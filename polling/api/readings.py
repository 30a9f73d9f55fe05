"""Step 1 of 7, accept: what many readers ask for at once is asked of PostgreSQL once."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable

from polling.core.errors import PollNotFound, StoreUnavailable
from polling.core.leaderboard import MAX_ENTRIES, Leaderboard
from polling.core.polls import Poll, Results
from polling.live import Live
from polling.store.door import Store

FRESH = 0.1
"""Seconds for which results are shown again: with the time of a query, a poll trails the count by 200 ms at most."""

BOARD_FRESH = 1.0
"""Seconds for which a leaderboard is shown again: beat makes one each second."""

CAPACITY = 10_000


class ResultsCache:
    """The results of polls, at most `FRESH` old. A crowd of readers costs one query in that time, whatever they read:
    all polls that are asked for in one turn of the loop go into one query. `clock` gives monotonic seconds.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, Results]] = OrderedDict()
        self._wanted: dict[str, tuple[Poll, asyncio.Future[Results]]] = {}
        self._asked: dict[str, asyncio.Future[Results]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def get(self, poll: Poll) -> Results:
        """How the poll stands.

        Raises:
            PollNotFound: it has no results.
            StoreUnavailable: PostgreSQL is away.
        """
        known = self._known.get(poll.id)
        if known is not None and self._clock() - known[0] < FRESH:
            return known[1]
        future = self._asked.get(poll.id)
        if future is None:
            loop = asyncio.get_running_loop()
            future = self._asked[poll.id] = loop.create_future()
            future.add_done_callback(_seen)
            if not self._wanted:
                loop.call_soon(self._ask)
            self._wanted[poll.id] = (poll, future)
        return await asyncio.shield(future)

    def forget(self, poll_id: str) -> None:
        """Has the next reader ask anew: the poll was changed here."""
        self._known.pop(poll_id, None)
        self._asked.pop(poll_id, None)

    def _ask(self) -> None:
        wanted, self._wanted = self._wanted, {}
        task = asyncio.create_task(self._answer(wanted), name="read results")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, wanted: dict[str, tuple[Poll, asyncio.Future[Results]]]) -> None:
        asked_at = self._clock()
        found: dict[str, Results] = {}
        failure: Exception = PollNotFound()
        try:
            found = {one.poll_id: one for one in await self._store.results([poll for poll, _ in wanted.values()])}
        except StoreUnavailable as error:
            failure = error
        except BaseException:
            failure = StoreUnavailable()
            raise
        finally:
            for poll_id, (_, future) in wanted.items():
                self._settle(poll_id, future, found.get(poll_id), asked_at, failure)
            while len(self._known) > CAPACITY:
                self._known.popitem(last=False)

    def _settle(
        self,
        poll_id: str,
        future: asyncio.Future[Results],
        results: Results | None,
        asked_at: float,
        failure: Exception,
    ) -> None:
        if self._asked.get(poll_id) is future:
            del self._asked[poll_id]
            if results is not None:
                self._known[poll_id] = (asked_at, results)
                self._known.move_to_end(poll_id)
        if future.done():
            return
        if results is None:
            future.set_exception(failure)
        else:
            future.set_result(results)


class Leaderboards:
    """The newest leaderboard: from memory, else from Redis, else from PostgreSQL."""

    def __init__(self, live: Live, store: Store) -> None:
        self._live = live
        self._store = store
        self._board: Leaderboard | None = None
        self._read_at = float("-inf")
        self._asked: asyncio.Task[Leaderboard] | None = None
        live.on_leaderboard(self._keep)

    async def top(self, limit: int) -> Leaderboard:
        """The first `limit` entries. Raises StoreUnavailable where Redis and PostgreSQL are away."""
        if self._board is not None and time.monotonic() - self._read_at < BOARD_FRESH:
            return self._board.top(limit)
        if self._asked is None:
            self._asked = asyncio.create_task(self._read(), name="read the leaderboard")
            self._asked.add_done_callback(self._read_done)
        board = await asyncio.shield(self._asked)
        return board.top(limit)

    def _keep(self, board: Leaderboard) -> None:
        if self._board is None or board.updated_at >= self._board.updated_at:
            self._board, self._read_at = board, time.monotonic()

    async def _read(self) -> Leaderboard:
        board = await self._live.leaderboard(MAX_ENTRIES) or await self._store.leaderboard(MAX_ENTRIES)
        self._board, self._read_at = board, time.monotonic()
        return board

    def _read_done(self, task: asyncio.Task[Leaderboard]) -> None:
        self._asked = None
        if not task.cancelled():
            task.exception()


def _seen(future: asyncio.Future[Results]) -> None:
    # A reader that went away leaves a future that nobody asks; its failure is no news.
    if not future.cancelled():
        future.exception()
