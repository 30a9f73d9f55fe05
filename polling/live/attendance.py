"""Step 6 of 7, tell: how many sockets watch each poll, as each door tells it to the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from redis.asyncio import Redis

from polling.live import channels

Run = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]
"""Runs a command; None where Redis is away, or does not answer in time."""


class SharedAttendance:
    """What the doors know of each other. No method raises."""

    def __init__(self, redis: Redis, run: Run) -> None:
        self._redis = redis
        self._run = run

    async def tell(self, door: str, changed: Mapping[str, int], *, whole: bool) -> int | None:
        """Keeps these numbers of a door's, by poll id, for some seconds: instead of all before where they are the
        `whole`, else beside them. Answers of how many polls there are numbers now; None where Redis is away.
        """
        key = channels.attendance_key(door)
        present: dict[Any, Any] = {poll_id: sockets for poll_id, sockets in changed.items() if sockets}
        gone = [poll_id for poll_id, sockets in changed.items() if not sockets]

        async def write() -> int:
            async with self._redis.pipeline(transaction=True) as pipeline:
                if whole:
                    pipeline.delete(key)
                if present:
                    pipeline.hset(key, mapping=present)
                if gone:
                    pipeline.hdel(key, *gone)
                pipeline.expire(key, channels.ATTENDANCE_SECONDS)
                pipeline.sadd(channels.DOORS, door)
                pipeline.hlen(key)
                return int((await pipeline.execute())[-1])

        known: int | None = await self._run(write)
        return known

    async def leave(self, door: str) -> None:
        """Takes a door's numbers away at once."""

        async def write() -> None:
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.delete(channels.attendance_key(door))
                pipeline.srem(channels.DOORS, door)
                await pipeline.execute()

        await self._run(write)

    async def elsewhere(self, door: str, poll_ids: Sequence[str]) -> list[int] | None:
        """How many sockets of all other doors watch each of these polls; None where Redis is away."""

        async def read() -> list[int]:
            doors: set[Any] = await self._redis.smembers(channels.DOORS)
            others = [name.decode() for name in doors if name != door.encode()]
            async with self._redis.pipeline(transaction=False) as pipeline:
                for other in others:
                    key = channels.attendance_key(other)
                    pipeline.exists(key)
                    pipeline.hmget(key, list(poll_ids))
                answers = await pipeline.execute() if others else []
            gone = [other for other, there in zip(others, answers[::2], strict=True) if not there]
            if gone:
                await self._redis.srem(channels.DOORS, *gone)  # one that only slept names itself again
            return [sum(int(number or 0) for number in numbers) for numbers in zip(*answers[1::2], strict=True)]

        found: list[int] | None = await self._run(read)
        return [0] * len(poll_ids) if found == [] else found
