"""The cluster's tests: the whole system on three brokers and nodes of ZooKeeper, whole before and after each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.system import STARTED, System, revive

from polling.local.servers import Servers

from .seen import Cluster


@pytest.fixture(scope="module")
def cluster_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with Servers(tmp_path_factory.mktemp("cluster"), brokers=3) as running:
        yield running


@pytest.fixture(scope="module")
def cluster_system(cluster_servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    system = System(cluster_servers, tmp_path_factory.mktemp("cluster-system"))
    try:
        system.start()
        yield system
    finally:
        system.stop()


@pytest.fixture
def whole(cluster_system: System) -> Iterator[System]:
    """All servers and parts run, and each partition has all its copies; what a test breaks is mended afterwards."""
    _mend(cluster_system)
    yield cluster_system
    _mend(cluster_system)


@pytest.fixture
def cluster(whole: System) -> Cluster:
    """The same cluster, as Kafka and ZooKeeper tell of it."""
    return Cluster(whole.servers)


def _mend(system: System) -> None:
    revive(system.servers)
    system.until_ready(STARTED)
    Cluster(system.servers).until_whole()
