"""Step 6 of 7, tell: Redis for the processes that serve people: hears of results, and keeps the doors' caches."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import msgspec
from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from polling import telemetry
from polling.core.leaderboard import Leaderboard
from polling.core.polls import Poll, Results
from polling.live import channels
from polling.live.attendance import SharedAttendance
from polling.live.ballots import BallotMemory
from polling.live.breaker import Breaker
from polling.live.listener import Listener
from polling.live.patience import within

T = TypeVar("T")
OnResults = Callable[[Sequence[Results]], None]

log = telemetry.logger(__name__)

TIMEOUT = 0.5
"""Seconds, as long as nobody asks for more or less."""

CONNECTIONS = 16


class Live:
    """One for each Tornado process, opened in its loop. No method raises, whatever Redis does; see each for what it
    gives instead. Callbacks run in the loop and must be quick; one that raises is logged. `timeout` is how many
    seconds anything but a ballot waits for Redis at most.
    """

    def __init__(self, redis_url: str, timeout: float = TIMEOUT) -> None:
        self._timeout = timeout
        # No timeouts of redis-py's: see `within`.
        settings: dict[str, Any] = {
            "socket_connect_timeout": None,
            "socket_timeout": None,
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,
        }
        self._redis = Redis(
            connection_pool=BlockingConnectionPool.from_url(
                redis_url, max_connections=CONNECTIONS, timeout=None, **settings
            )
        )
        pool = ConnectionPool.from_url(redis_url, **settings)
        self._listener = Listener(pool, self._on_message, self._on_connected)
        self._breaker = Breaker("commands")
        # A vote's 50 ms run out sooner than the rest's time: that alone must not close the door to the rest.
        self._asking = Breaker("ballots")
        self._ballots = BallotMemory(self._redis, self._run, self._asking)
        self.attendance = SharedAttendance(self._redis, self._run)
        self._warming: asyncio.Task[bool] | None = None
        self._watched: Counter[int] = Counter()
        self._on_results: list[OnResults] = []
        self._on_leaderboard: list[Callable[[Leaderboard], None]] = []
        self._on_reconnected: list[Callable[[], None]] = []

    async def open(self) -> None:
        """Starts listening. Returns at once, also where Redis is away."""
        await self._listener.subscribe(channels.LEADERBOARD)
        self._listener.start()
        # The first vote that asks has 50 ms: too little for making a connection on a busy machine.
        self._warming = asyncio.create_task(self.ping(), name="redis-warming")

    async def close(self) -> None:
        await self._listener.close()
        if self._warming is not None:
            await self._warming
        await self._ballots.close()
        await self._redis.aclose()
        # A Redis that hangs may not take what was still to be sent.
        with contextlib.suppress(TimeoutError):
            async with within(self._timeout):
                await self._redis.connection_pool.disconnect()

    def on_results(self, callback: OnResults) -> None:
        """Called with the new results of polls of watched shards; may hold polls that nobody watches."""
        self._on_results.append(callback)

    def on_leaderboard(self, callback: Callable[[Leaderboard], None]) -> None:
        """Called with each leaderboard whose entries changed."""
        self._on_leaderboard.append(callback)

    def on_reconnected(self, callback: Callable[[], None]) -> None:
        """Called after each (re)connect, the first included: what was published before may have been missed."""
        self._on_reconnected.append(callback)

    async def watch(self, poll_id: str) -> None:
        """Hears of this poll from when this returns; where Redis is away, from the next `on_reconnected`."""
        shard = channels.shard_of(poll_id)
        self._watched[shard] += 1
        # Each watcher asks, not the first alone: the first one's question may not be answered yet.
        await self._listener.subscribe(channels.results(shard))

    async def unwatch(self, poll_id: str) -> None:
        """Undoes one `watch` of this poll."""
        shard = channels.shard_of(poll_id)
        self._watched[shard] -= 1
        if self._watched[shard] <= 0:
            del self._watched[shard]
            await self._listener.unsubscribe(channels.results(shard))

    async def publish_results(self, changed: list[Results]) -> None:
        """Tells every process of these results. Dropped where Redis is away: hubs read again when it is back."""
        messages = channels.by_shard(changed)

        async def publish() -> None:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for channel, payload in messages:
                    pipeline.publish(channel, payload)
                await pipeline.execute()

        if messages:
            await self._run(publish)

    async def poll(self, poll_id: str) -> Poll | None:
        """The poll's definition as it was last remembered, or None."""
        payload: Any = await self._run(lambda: self._redis.get(channels.poll_key(poll_id)))
        return _decoded(channels.read_poll, payload) if payload else None

    async def remember_poll(self, poll: Poll) -> None:
        """Keeps the definition for a day."""
        key, value = channels.poll_key(poll.id), channels.encode_poll(poll)
        await self._run(lambda: self._redis.set(key, value, ex=channels.POLL_SECONDS))

    async def log(self) -> tuple[str, int] | None:
        """The topic that votes are written to, and its generation, as last remembered; or None."""
        payload: Any = await self._run(lambda: self._redis.get(channels.LOG))
        return _decoded(channels.read_log, payload) if payload else None

    async def remember_log(self, topic: str, generation: int) -> None:
        """Keeps where votes are written to."""
        await self._run(lambda: self._redis.set(channels.LOG, channels.encode_log(topic, generation)))

    async def ballot(self, ballot: bytes) -> int | None:
        """The number of the option that this ballot was cast for, or None where that is not known within 50 ms."""
        return None if self._breaker.open or self._asking.open else await self._ballots.ask(ballot)

    def remember_ballot(self, ballot: bytes, option: int, last_wins: bool) -> None:
        """Writes, without waiting, that Kafka has acknowledged this cast."""
        if not self._breaker.open:
            self._ballots.remember(ballot, option, last_wins)

    async def leaderboard(self, limit: int) -> Leaderboard | None:
        """The first entries of the cached leaderboard; None where Redis has none, or none that is fresh."""

        async def read() -> tuple[list[bytes], bytes | None]:
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.zrange(channels.LEADERBOARD_TOP, 0, limit - 1)
                pipeline.get(channels.LEADERBOARD_UPDATED_AT)
                entries, updated_at = await pipeline.execute()
                return entries, updated_at

        entries, updated_at = await self._run(read) or ([], None)
        if updated_at is None:
            return None
        return _decoded(lambda time: channels.assemble_leaderboard(time, entries), updated_at)

    async def ping(self) -> bool:
        """Whether Redis answers now; asks it in any case."""
        try:
            async with within(self._timeout):
                await self._redis.ping()
        except (RedisError, OSError) as error:
            self._breaker.failed(error)
            return False
        self._breaker.worked()
        return True

    async def _run(self, command: Callable[[], Awaitable[T]]) -> T | None:
        if self._breaker.open:
            return None
        try:
            async with within(self._timeout):
                answer = await command()
        except (RedisError, OSError) as error:
            self._breaker.failed(error)
            return None
        self._breaker.worked()
        return answer

    def _on_message(self, channel: str, payload: bytes) -> None:
        if channel == channels.LEADERBOARD:
            board = _decoded(channels.read_leaderboard, payload)
            if board is not None:
                _tell(self._on_leaderboard, board)
            return
        results = _decoded(channels.read_results, payload)
        if results:
            _tell(self._on_results, results)

    def _on_connected(self) -> None:
        _tell(self._on_reconnected)


def _decoded(decode: Callable[[bytes], T], payload: bytes) -> T | None:
    """What another version of this program may have written there is as nothing."""
    try:
        return decode(payload)
    except msgspec.DecodeError as error:
        log.warning("redis holds what cannot be read", error=str(error))
        return None


def _tell(callbacks: Sequence[Callable[..., None]], *news: Any) -> None:
    for callback in callbacks:
        try:
            callback(*news)
        except Exception:
            log.exception("a listener to redis failed")
