"""The embedded stack's tests: real processes, each in a data directory of its own."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from polling.local.guard import Guard

from .helpers import Up


@pytest.fixture
def start_up(tmp_path: Path) -> Iterator[Callable[..., Up]]:
    """Starts `polling up` with dummy parts, as often as it is called, in the same data directory."""
    started: list[Up] = []

    def start(stdout: int | None = None, **variables: str) -> Up:
        started.append(Up(tmp_path / "data", stdout, **variables))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.send_signal(signal.SIGTERM)
            one.wait()


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    one = Guard(tmp_path / "data")
    one.open()
    yield one
    one.close()
