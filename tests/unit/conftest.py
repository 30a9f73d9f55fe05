"""The unit tests: a database of their own on the real PostgreSQL, for rules that live in SQL."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest

from polling.settings import Settings
from polling.store.migrate import migrate
from unit.counting_model import Connection


@pytest.fixture(scope="session")
def database_url(settings: Settings) -> str:
    """Of a database with our tables in it, and nothing else."""
    url = urlsplit(settings.database_url)._replace(path="/unit_tests").geturl()
    migrate(url)
    return url


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection
