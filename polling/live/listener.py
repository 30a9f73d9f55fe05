"""Step 6 of 7, tell: the one pub/sub connection of a process, which comes back for ever.

redis-py's own PubSub reconnects in silence, and whoever listens would never learn that messages were missed. So the
connection is held here: it is watched by a ping, dropped when nothing comes for seconds (a half-open connection says
nothing either), made again with a jittered back-off, and `on_connected` is called once all channels are subscribed.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Callable
from typing import Any

from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import RedisError

from polling.live.breaker import Breaker
from polling.live.patience import within

PING_EVERY = 1.5
"""Seconds between pings on the pub/sub connection."""

UNANSWERED = 2
"""Pings without a word from Redis, after which the connection counts as dead when the next is due."""

CONNECT_TIMEOUT = 2.0
SUBSCRIBE_TIMEOUT = 2.0
BACK_OFF = (0.05, 2.0)
"""Seconds before the first new attempt, and at most. Each wait is drawn between half of it and the whole."""


class Listener:
    """Keeps `channels` subscribed and hands every message to `on_message(channel, payload)`.

    `on_connected` is called after each (re)connect, when all channels are confirmed: what was published before may
    have been missed.
    """

    def __init__(
        self, pool: ConnectionPool, on_message: Callable[[str, bytes], None], on_connected: Callable[[], None]
    ) -> None:
        self._pool = pool
        self._on_message = on_message
        self._on_connected = on_connected
        self._breaker = Breaker("listener")
        self._channels: set[str] = set()
        self._confirmations: deque[asyncio.Future[None]] = deque()
        self._connection: AbstractConnection | None = None
        self._unanswered = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._stay_connected(), name="redis-listener")

    async def close(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def subscribe(self, channel: str) -> None:
        """Returns when Redis has confirmed it, or has not within `SUBSCRIBE_TIMEOUT`, or is away.

        In the latter two cases `on_connected` will be called later.
        """
        self._channels.add(channel)
        connection = self._connection
        if connection is None:
            return
        # Confirmations come in the order of the commands: a channel that is left and joined again at once must not
        # take the first one for the second's.
        confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._confirmations.append(confirmed)
        try:
            async with within(SUBSCRIBE_TIMEOUT):
                await connection.send_command("SUBSCRIBE", channel, check_health=False)
                await confirmed
        except (RedisError, OSError) as error:
            await self._drop(connection, error)

    async def unsubscribe(self, channel: str) -> None:
        """Leaves the channel. A message that is under way may still come."""
        self._channels.discard(channel)
        connection = self._connection
        if connection is None:
            return
        try:
            async with within(SUBSCRIBE_TIMEOUT):
                await connection.send_command("UNSUBSCRIBE", channel, check_health=False)
        except (RedisError, OSError) as error:
            await self._drop(connection, error)

    async def _drop(self, connection: AbstractConnection, error: BaseException) -> None:
        self._breaker.failed(error)
        with contextlib.suppress(RedisError, OSError):
            await connection.disconnect(nowait=True)

    async def _stay_connected(self) -> None:
        wait = BACK_OFF[0]
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await self._listen()
            except (RedisError, OSError) as error:
                self._breaker.failed(error)
            if asyncio.get_running_loop().time() - began > 2 * BACK_OFF[1]:
                wait = BACK_OFF[0]
            await asyncio.sleep(wait * random.uniform(0.5, 1))  # noqa: S311
            wait = min(2 * wait, BACK_OFF[1])

    async def _listen(self) -> None:
        """Connects, subscribes, reads until the connection dies. Raises what it died of."""
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        pinger: asyncio.Task[None] | None = None
        try:
            async with within(CONNECT_TIMEOUT):
                await connection.connect()  # type: ignore[no-untyped-call]
                await self._subscribe_all(connection)
            self._connection = connection
            self._unanswered = 0
            pinger = asyncio.create_task(self._ping(connection), name="redis-listener-ping")
            self._breaker.worked()
            self._on_connected()
            while True:
                self._take(await connection.read_response())
        finally:
            self._connection = None
            if pinger:
                pinger.cancel()
            await self._drop_quietly(connection)
            for confirmed in self._confirmations:
                if not confirmed.done():
                    confirmed.set_result(None)
            self._confirmations.clear()

    async def _subscribe_all(self, connection: AbstractConnection) -> None:
        """Subscribes what is wanted, also what joins in the meantime, and waits for every confirmation."""
        subscribed: set[str] = set()
        while wanted := self._channels - subscribed:
            await connection.send_command("SUBSCRIBE", *wanted, check_health=False)
            subscribed |= wanted
            unconfirmed = len(wanted)
            while unconfirmed:
                reply: Any = await connection.read_response(disconnect_on_error=False)
                unconfirmed -= reply[0] == b"subscribe"

    @staticmethod
    async def _drop_quietly(connection: AbstractConnection) -> None:
        with contextlib.suppress(RedisError, OSError):
            await connection.disconnect(nowait=True)

    def _take(self, reply: Any) -> None:
        self._unanswered = 0
        kind = reply[0]
        if kind == b"message":
            self._on_message(reply[1].decode(), reply[2])
        elif kind == b"subscribe" and self._confirmations:
            confirmed = self._confirmations.popleft()
            if not confirmed.done():
                confirmed.set_result(None)

    async def _ping(self, connection: AbstractConnection) -> None:
        while True:
            await asyncio.sleep(PING_EVERY)
            try:
                # Counted in pings, not in seconds, for a stall of ours is no silence of Redis.
                if self._unanswered >= UNANSWERED:
                    raise TimeoutError(f"nothing from Redis for {UNANSWERED} pings")
                self._unanswered += 1
                async with within(SUBSCRIBE_TIMEOUT):
                    await connection.send_command("PING", check_health=False)
            except (RedisError, OSError) as error:
                await self._drop(connection, error)
                return
