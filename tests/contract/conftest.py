"""The contract's tests: clients of the running system, and an eye on its logs: no test may cause a fault of ours."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.http import Client
from support.polls import Made, create
from support.system import System

EXAMPLE = "https://example.org"
"""An origin that the strict door allows."""


@pytest.fixture
def client(system: System) -> Client:
    """A program that keeps no cookies."""
    return system.client


@pytest.fixture
def browser(system: System) -> Iterator[Client]:
    """A browser, in so far as it keeps its cookie."""
    with Client(system.url, browser=True) as browser:
        yield browser


@pytest.fixture
def another(system: System) -> Iterator[Client]:
    """Another browser."""
    with Client(system.url, browser=True) as browser:
        yield browser


@pytest.fixture
def poll(client: Client) -> Made:
    """A poll with the options Yes and No, and no special rules."""
    return create(client)


@pytest.fixture(scope="session")
def strict_door(system: System) -> Iterator[System]:
    """A second API process: with low limits for all but 192.0.2.0/24, proxies it believes, and a foreign origin."""
    system.spawn(
        "api",
        under="api-guarded",
        RATE_LIMIT_EXEMPT="192.0.2.0/24",
        RATE_LIMIT_VOTES="0.2/3",
        RATE_LIMIT_POLLS="0.2/2",
        TRUSTED_PROXIES="127.0.0.0/8",
        ALLOWED_ORIGINS=EXAMPLE,
        EMBED_ORIGINS=f"{EXAMPLE},https://*.example.net",
    )
    system.until_ready(["api-guarded"])
    yield system
    system.end("api-guarded")


@pytest.fixture
def strict(strict_door: System) -> Iterator[Client]:
    """A client of the strict door that it does not limit."""
    with Client(strict_door.url_of("api-guarded"), headers={"X-Forwarded-For": "192.0.2.1"}) as client:
        yield client


@pytest.fixture(autouse=True)
def no_faults(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test sends: nothing is an error of ours, and no part leaves a trace of the stack in its log."""
    if "system" not in request.fixturenames:
        yield
        return
    system: System = request.getfixturevalue("system")
    began = {name: len(system.log_of(name)) for name in system.logs}
    yield
    for name in system.logs:
        logged = system.log_of(name)[began.get(name, 0) :]
        assert "Traceback" not in logged, f"{name} logged {logged}"
        assert '"level": "error"' not in logged, f"{name} logged {logged}"
