"""Celery over Kafka, tested: a broker, and queues that no other test knows."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from .harness import Bench


@pytest.fixture(scope="session")
def broker(kafka_broker: str) -> str:
    """host:port of a real Kafka that stays up."""
    return kafka_broker


@pytest.fixture
def bench(broker: str, tmp_path: Path) -> Iterator[Bench]:
    """Workers, queues and connections of one test; whatever it leaves running is killed."""
    with Bench(broker, f"t{uuid.uuid4().hex[:8]}", tmp_path) as bench:
        yield bench
