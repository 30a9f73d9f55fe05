"""Step 6 of 7, tell: publishes changed results and the leaderboard from a task, after its commit."""

from __future__ import annotations

from collections.abc import Callable

import redis
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.retry import Retry

from polling.core.leaderboard import Leaderboard
from polling.core.polls import Results
from polling.live import channels
from polling.live.breaker import Breaker

TIMEOUT = 0.5
"""Seconds, as long as nobody asks for more or less."""

OWED = 10_000
"""Polls whose newest results are kept while Redis is away."""


class LivePublisher:
    """For Celery's worker processes: synchronous, connects when first used, and again after a fork.

    Never raises: what could not be published goes along with the next message, as far as `OWED` polls (the hubs
    read again anyway once Redis is back). After a failure nothing is tried for a second, so that counting goes on
    at full speed without Redis. `timeout` is how many seconds a task waits for Redis at most, for connecting and for
    each answer.
    """

    def __init__(self, redis_url: str, timeout: float = TIMEOUT) -> None:
        self._redis = redis.Redis.from_url(
            redis_url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            max_connections=4,
        )
        self._breaker = Breaker("publisher")
        self._owed: dict[str, Results] = {}
        self._board_owed = False

    def results(self, changed: list[Results]) -> None:
        """Tells of these polls' new results: one message for each shard, all in one round trip."""
        messages = channels.by_shard([*self._owed.values(), *changed])
        if not messages:
            return

        def publish(pipeline: Pipeline) -> None:
            for channel, payload in messages:
                pipeline.publish(channel, payload)

        if self._run(publish, transaction=False):
            self._owed.clear()
            return
        for one in changed:
            if one.poll_id in self._owed or len(self._owed) < OWED:
                self._owed[one.poll_id] = one

    def leaderboard(self, board: Leaderboard, changed: bool) -> None:
        """Replaces the cached leaderboard in one MULTI; tells the sockets where its entries `changed`."""

        def replace(pipeline: Pipeline) -> None:
            pipeline.delete(channels.LEADERBOARD_TOP)
            if board.entries:
                scores = {channels.encode_entry(entry): entry.rank for entry in board.entries}
                pipeline.zadd(channels.LEADERBOARD_TOP, scores)
                pipeline.expire(channels.LEADERBOARD_TOP, channels.LEADERBOARD_SECONDS)
            updated_at = channels.encode_time(board.updated_at)
            pipeline.set(channels.LEADERBOARD_UPDATED_AT, updated_at, ex=channels.LEADERBOARD_SECONDS)
            if changed or self._board_owed:
                pipeline.publish(channels.LEADERBOARD, channels.encode_leaderboard(board))

        done = self._run(replace, transaction=True)
        self._board_owed = not done and (changed or self._board_owed)

    def close(self) -> None:
        self._redis.close()

    def _run(self, fill: Callable[[Pipeline], None], *, transaction: bool) -> bool:
        if self._breaker.open:
            return False
        try:
            with self._redis.pipeline(transaction=transaction) as pipeline:
                fill(pipeline)
                pipeline.execute()
        except (redis.RedisError, OSError) as error:
            self._breaker.failed(error)
            return False
        self._breaker.worked()
        return True
