"""Real Valkey (and PostgreSQL) for the tests of Redis's door and of the sockets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

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
