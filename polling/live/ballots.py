"""Step 6 of 7, tell: what the doors remember of ballots in Redis, asked and written once a loop turn for many votes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

from redis.asyncio import Redis

from polling.live import channels
from polling.live.breaker import Breaker
from polling.live.patience import within

Run = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]
"""Runs a command; None where Redis is away, or does not answer in time."""

ASK_TIMEOUT = 0.05
"""Seconds that a vote waits for Redis at most: the count decides anyway."""

QUEUE = 20_000
"""Ballots that may wait to be asked for, and to be written. What is over it is not asked, or not written."""

BATCH = 1_000


class BallotMemory:
    """`ask` and `remember`; each gathers what one loop turn brings, and sends it in one round trip.

    Whoever asks waits 50 ms at most; the question itself may take longer, so that a connection that is slow to be
    made is made at all. `breaker` is for those 50 ms alone.
    """

    def __init__(self, redis: Redis, run: Run, breaker: Breaker) -> None:
        self._redis = redis
        self._run = run
        self._breaker = breaker
        self._asked: dict[bytes, list[asyncio.Future[int | None]]] = {}
        self._written: dict[bytes, tuple[int, bool]] = {}
        self._asking: asyncio.Task[None] | None = None
        self._writing: asyncio.Task[None] | None = None

    async def ask(self, ballot: bytes) -> int | None:
        """The option that this ballot was cast for, or None where Redis does not know it in time."""
        waiting = self._asked.setdefault(ballot, [])
        if len(waiting) + len(self._asked) > QUEUE:
            return None
        answer: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        waiting.append(answer)
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_all())
        return await answer

    def remember(self, ballot: bytes, option: int, last_wins: bool) -> None:
        """Writes it soon. Where the first cast wins, what stands in Redis already stays."""
        known = self._written.get(ballot)
        if (known and not last_wins) or (known is None and len(self._written) >= QUEUE):
            return
        self._written[ballot] = (option, last_wins)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())

    async def close(self) -> None:
        """Ends what is under way; whoever still waits gets None."""
        for task in (self._asking, self._writing):
            if task:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _ask_all(self) -> None:
        try:
            while self._asked:
                batch = {ballot: self._asked.pop(ballot) for ballot in list(self._asked)[:BATCH]}
                try:
                    await self._look_up(batch)
                finally:
                    _answer_all(batch.values(), None)
        finally:
            self._asking = None
            _answer_all(self._asked.values(), None)
            self._asked.clear()

    async def _look_up(self, batch: dict[bytes, list[asyncio.Future[int | None]]]) -> None:
        keys = [channels.ballot_key(ballot) for ballot in batch]
        question = asyncio.ensure_future(self._run(partial(self._redis.mget, keys)))
        try:
            try:
                async with within(ASK_TIMEOUT):
                    await asyncio.wait({question})
            except TimeoutError as error:
                self._breaker.failed(error)
                _answer_all(batch.values(), None)
            found: list[bytes | None] | None = await question
        finally:
            question.cancel()
        if found is None:
            return
        self._breaker.worked()
        for waiting, option in zip(batch.values(), found, strict=True):
            _answer_all([waiting], int(option) if option else None)

    async def _write_all(self) -> None:
        try:
            while self._written:
                batch = {ballot: self._written.pop(ballot) for ballot in list(self._written)[:BATCH]}
                await self._run(partial(self._write, batch))
        finally:
            self._writing = None

    async def _write(self, batch: dict[bytes, tuple[int, bool]]) -> None:
        async with self._redis.pipeline(transaction=False) as pipeline:
            for ballot, (option, last_wins) in batch.items():
                pipeline.set(channels.ballot_key(ballot), option, ex=channels.BALLOT_SECONDS, nx=not last_wins)
            await pipeline.execute()


def _answer_all(all_waiting: Iterable[list[asyncio.Future[int | None]]], option: int | None) -> None:
    for waiting in all_waiting:
        for future in waiting:
            if not future.done():
                future.set_result(option)
