"""The door as the API wires it, and clients of its sockets, for tests. The count is played by `Door.count`."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import psycopg
from tornado.httpclient import HTTPRequest
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.websocket import WebSocketClientConnection, websocket_connect

from polling import settings
from polling.api.app import make_application
from polling.api.services import make
from polling.core.errors import StoreUnavailable
from polling.core.polls import CreatePoll, Poll, Results
from polling.live import LivePublisher
from polling.local.addresses import environment
from polling.local.servers import Servers
from polling.store.migrate import migrate
from polling.vote_log.topics import Topics
from websocket.hub import Hub

PATIENCE = 30.0


def configured(servers: Servers) -> settings.Settings:
    return settings.read({**environment(servers.addresses), "SECRET_KEY": "not secret in tests"})


def prepare(servers: Servers) -> None:
    """Tables, the topic of votes, and its generation."""
    given = configured(servers)
    migrate(given.database_url)
    topics = Topics(given.kafka_broker)
    topics.create("votes", 2, 1, 1)
    topic = topics.describe("votes")
    with psycopg.connect(given.database_url) as connection:
        connection.execute(
            "INSERT INTO generations (number, topic, cluster_id, topic_id, partitions) VALUES (1, %s, %s, %s, %s)",
            topic,
        )


class Client:
    """A socket's other end. `frames` holds what came and was not taken yet."""

    def __init__(self, connection: WebSocketClientConnection) -> None:
        self.connection = connection
        self.headers = connection.headers
        self.ended = False

    async def say(self, **message: Any) -> None:
        await self.connection.write_message(json.dumps(message))

    async def hear(self) -> Any:
        """The next frame; None when the socket has closed."""
        if self.ended:
            return None
        # Not wait_for, which loses a cancellation that comes together with the frame.
        async with asyncio.timeout(PATIENCE):
            text = await self.connection.read_message()
        self.ended = text is None
        return None if text is None else json.loads(text)

    async def hear_of(self, kind: str, where: Callable[[Any], bool] = lambda frame: True) -> Any:
        """The next frame of this type for which the condition holds; others are passed over."""
        while True:
            frame = await self.hear()
            assert frame is not None, f"closed with {self.connection.close_code} before {kind} came"
            if frame["type"] == kind and where(frame):
                return frame

    async def silence(self, seconds: float) -> None:
        """Fails where anything comes within that time. A ping is answered first, so that all before it was said."""
        await self.say(type="ping")
        assert await self.hear() == {"type": "pong"}
        await asyncio.sleep(seconds)
        await self.say(type="ping")
        assert await self.hear() == {"type": "pong"}

    async def closed(self) -> int | None:
        """Waits until the socket has closed; the close code."""
        while await self.hear() is not None:
            pass
        return self.connection.close_code

    def close(self) -> None:
        self.connection.close()


class Door:
    """One process of the API, in the test's own loop."""

    def __init__(self, servers: Servers) -> None:
        self.settings = configured(servers)
        self.services = make(self.settings, asyncio.get_running_loop())
        self.hub = Hub(self.services.live, self.services.store, self.services.book)
        self.application = make_application(self.services, self.hub)
        self.server = HTTPServer(self.application)
        self.publisher = LivePublisher(self.settings.redis_url)
        self.clients: list[Client] = []
        listening, self.port = bind_unused_port()
        self.server.add_socket(listening)

    async def open(self) -> None:
        connected = asyncio.Event()
        self.services.live.on_reconnected(connected.set)
        await self.services.store.open()
        await self.services.live.open()
        await until(connected.is_set)
        await self._until_postgres_answers()
        self.services.book.start()
        self.services.writer.use("votes", 1, 8)
        await self.hub.open()
        # The hub waits a second for it, and clients here hear it first.
        await until(lambda: self.hub._board._frame)

    async def _until_postgres_answers(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return await self.services.store.ping()
            except StoreUnavailable:
                assert time.monotonic() < deadline, "PostgreSQL did not answer in time"
                await asyncio.sleep(0.05)

    async def close(self) -> None:
        for client in self.clients:
            client.close()
        for client in self.clients:
            await client.closed()
        await self.hub.close()
        self.server.stop()
        await self.server.close_all_connections()
        await self.services.book.stop()
        await self.services.writer.close(5.0)
        await self.services.live.close()
        await self.services.store.close()
        self.publisher.close()

    async def connect(self, query: str = "", *, welcome: bool = True, **headers: str) -> Client:
        """A new socket; its welcome and first leaderboard are taken already, unless wanted."""
        request = HTTPRequest(
            f"ws://127.0.0.1:{self.port}/{query}",
            headers={name.replace("_", "-"): text for name, text in headers.items()},
        )
        client = Client(await websocket_connect(request))
        self.clients.append(client)
        if welcome:
            assert (await client.hear())["type"] == "welcome"
            assert (await client.hear())["type"] == "leaderboard"
        return client

    async def poll(self, *options: str, **more: Any) -> Poll:
        poll, _ = await self.services.store.create_poll(CreatePoll("Q?", list(options or ("A", "B")), **more))
        return poll

    def store_count(self, poll: Poll, revision: int, *counts: int) -> Results:
        """What a task's statement leaves behind."""
        with psycopg.connect(self.settings.database_url) as connection:
            connection.execute(
                "UPDATE tallies SET counts = %s, total = %s, revision = %s WHERE poll = %s",
                (list(counts), sum(counts), revision, poll.number),
            )
        return Results(poll_id=poll.id, revision=revision, counts=counts, status="open", final=False)

    def count(self, poll: Poll, revision: int, *counts: int) -> None:
        """What a task does: stores, then tells."""
        self.publisher.results([self.store_count(poll, revision, *counts)])


async def until(condition: Callable[[], object], within: float = PATIENCE) -> None:
    """Waits until it holds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "did not come to hold in time"
        await asyncio.sleep(0.01)
