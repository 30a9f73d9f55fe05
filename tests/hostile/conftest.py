"""The hostile tests' system: the shared one, and a door that limits everybody who is not named as exempt."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from contract.conftest import another, browser, client, no_faults, poll
from support.system import System
from support.wire import Server

__all__ = ["another", "browser", "client", "no_faults", "poll"]

GUARDED = "api-limited"
EXEMPT = "192.0.2.1"
"""An address that the guarded door does not limit."""


@pytest.fixture(scope="session")
def server(system: System) -> Server:
    """The shared door: loopback, from which the tests come, is not limited there."""
    return Server(system, "api")


@pytest.fixture(scope="session")
def guarded_door(system: System) -> Iterator[Server]:
    """Limits that run out soon, on for loopback too; it believes the proxy 127.0.0.1."""
    system.spawn(
        "api",
        under=GUARDED,
        RATE_LIMIT_EXEMPT="192.0.2.0/24",
        RATE_LIMIT_VOTES="0.1/20",
        RATE_LIMIT_VOTER="0.1/4",
        RATE_LIMIT_POLLS="0.1/3",
        TRUSTED_PROXIES="127.0.0.0/8",
    )
    system.until_ready([GUARDED])
    yield Server(system, GUARDED)
    system.end(GUARDED)


@pytest.fixture
def guarded(guarded_door: Server) -> Server:
    return guarded_door
