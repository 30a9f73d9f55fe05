"""The tests of the edges: a system of their own, whose servers' data they take away."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from confluent_kafka.admin import AdminClient
from support.system import System

from polling.local.servers import Servers

PARTS = ("api", "bridge", "worker", "beat")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Servers and all parts but Flower, for one file of tests, which are in order and leave it working."""
    with Servers(tmp_path_factory.mktemp("own")) as servers:
        system = System(servers, tmp_path_factory.mktemp("own-system"))
        try:
            system.start(*PARTS)
            yield system
        finally:
            system.stop()


@pytest.fixture
def admin(own: System) -> AdminClient:
    return AdminClient({"bootstrap.servers": own.settings.kafka_broker})
