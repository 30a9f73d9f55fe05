"""The integration tests: the fragile system, whole at the beginning and at the end of each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.system import STARTED, System, revive


@pytest.fixture
def whole(fragile_system: System) -> Iterator[System]:
    """All servers and parts run and are ready; whatever the test breaks is mended afterwards."""
    _mend(fragile_system)
    yield fragile_system
    _mend(fragile_system)


def _mend(system: System) -> None:
    revive(system.servers)
    for name in STARTED:
        if not system.alive(name):
            system.spawn(name)
    system.until_ready()
