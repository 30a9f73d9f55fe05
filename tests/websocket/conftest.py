"""Real servers, and a door that serves sockets from them, for the tests of Redis's door and of the sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from socket_door import Door, prepare

from polling.local.servers import Servers


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Valkey alone, for tests that kill it or let it hang."""
    with Servers(tmp_path_factory.mktemp("valkey"), kafka=False, postgres=False) as servers:
        yield servers


@pytest.fixture
def redis_url(valkey: Servers) -> str:
    """Of a Valkey that runs, whatever the test before did to it."""
    assert valkey.redis
    assert valkey.addresses.redis
    if not valkey.redis.alive():
        valkey.redis.start()
    return valkey.addresses.redis


@pytest.fixture(scope="session")
def all_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """PostgreSQL with our tables, Kafka with the topic of votes, Valkey."""
    with Servers(tmp_path_factory.mktemp("servers")) as servers:
        prepare(servers)
        yield servers


@pytest_asyncio.fixture
async def door(all_servers: Servers) -> AsyncIterator[Door]:
    """The API's whole application in this loop, on a port of its own."""
    for server in (all_servers.redis, all_servers.postgres):
        if server and not server.alive():
            server.start()
    door = Door(all_servers)
    await door.open()
    yield door
    await door.close()
