"""An API process with other settings than usual, beside the system's own, on the same servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.http import Client
from support.system import System

ORIGIN = "https://polls.example"


@pytest.fixture(scope="module")
def strict(system: System) -> Iterator[Client]:
    """Limits everybody, trusts the proxy 127.0.0.1, and lets pages of ORIGIN read its answers."""
    system.spawn(
        "api",
        under="api-strict",
        RATE_LIMIT_EXEMPT="192.0.2.0/24",
        RATE_LIMIT_VOTES="0.1/5",
        RATE_LIMIT_POLLS="0.1/3",
        TRUSTED_PROXIES="127.0.0.1/32",
        ALLOWED_ORIGINS=ORIGIN,
    )
    system.until_ready(["api-strict"])
    with system.client_of("api-strict") as client:
        yield client
    system.end("api-strict")
