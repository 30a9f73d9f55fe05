"""Tests: real servers and the whole system, started when first asked for, once a session, and always stopped."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from support.system import System, revive

from polling import settings
from polling.local import ports
from polling.local.addresses import environment
from polling.local.kafka import Kafka
from polling.local.servers import Servers
from polling.settings import Settings

hypothesis.settings.register_profile("here", deadline=None, database=None, print_blob=True)
hypothesis.settings.load_profile("here")
# No deadline: how long an example takes says more about the machine than about the code.

if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    # A port that one process has chosen, and nobody listens on yet, looks free to those beside it.
    ports.RANGE = ports.RANGE[int(worker.removeprefix("gw")) :: int(os.environ["PYTEST_XDIST_WORKER_COUNT"])]

LOG_SHOWN = 12_000
"""Bytes of each part's log that are shown with a test that failed."""


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """PostgreSQL, Valkey, Kafka and ZooKeeper, for everybody who lets them stand."""
    with Servers(tmp_path_factory.mktemp("servers")) as running:
        yield running


@pytest.fixture(scope="session")
def kafka_broker(servers: Servers) -> str:
    """`127.0.0.1:port` of a Kafka that stays up."""
    assert servers.addresses.kafka is not None
    return servers.addresses.kafka


@pytest.fixture(scope="session")
def settings_of_servers(servers: Servers) -> Settings:
    return settings.read(environment(servers.addresses))


@pytest.fixture(scope="session", name="settings")
def settings_fixture(settings_of_servers: Settings) -> Settings:
    """The project's settings for the running servers."""
    return settings_of_servers


@pytest.fixture(scope="session")
def fragile_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Another set of the same, for tests that kill them and start them again."""
    with Servers(tmp_path_factory.mktemp("fragile")) as running:
        yield running


@pytest.fixture
def kafka_server(fragile_servers: Servers) -> Iterator[Kafka]:
    """A Kafka to `kill()`, `stop()` and `start()`, on 127.0.0.1 at `port`; it runs at the beginning of each test."""
    kafka = fragile_servers.kafka
    assert kafka is not None
    revive(fragile_servers)
    yield kafka
    revive(fragile_servers)


@pytest.fixture(scope="session")
def system(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """The whole system on `servers`: for tests that look at it from outside and break nothing."""
    yield from _running(System(servers, tmp_path_factory.mktemp("system")))


@pytest.fixture(scope="session")
def fragile_system(fragile_servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """The whole system on `fragile_servers`: for tests that break it, and leave it whole."""
    yield from _running(System(fragile_servers, tmp_path_factory.mktemp("fragile-system")))


def _running(system: System) -> Iterator[System]:
    try:
        system.start()
        yield system
    finally:
        system.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Remembers where the logs stand when a test begins."""
    item.stash[_BEGAN] = {path: path.stat().st_size for path in _logs().values() if path.exists()}
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shows, with a test that failed, what each part logged meanwhile."""
    report = yield
    if report.failed:
        for name, path in _logs().items():
            if text := _since(path, item.stash[_BEGAN].get(path, 0)):
                report.sections.append((f"log of {name}", text))
    return report


_BEGAN = pytest.StashKey[dict[Path, int]]()


def _logs() -> dict[str, Path]:
    return {f"{system.folder.name}/{name}": path for system in System.running for name, path in system.logs.items()}


def _since(path: Path, began: int) -> str:
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(began, path.stat().st_size - LOG_SHOWN))
        return file.read().decode(errors="replace")
