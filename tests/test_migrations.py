"""Tests: migrations and models agree, and migrations go down and up again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.pool import NullPool

from polling.settings import Settings
from polling.store.migrate import alembic_config, driver_url, migrate
from polling.store.tables import BALLOT_PARTITIONS, metadata


@pytest.fixture(scope="module")
def database_url(settings: Settings) -> str:
    return urlsplit(settings.database_url)._replace(path="/migration_tests").geturl()


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    """To a database that the migration itself has made."""
    migrate(database_url)
    engine = create_engine(driver_url(database_url), poolclass=NullPool)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def differences(connection: Connection) -> list[object]:
    """What Alembic would still change. The parts of `ballots` are made by SQL, and no models of their own."""
    options = {
        "compare_type": True,
        "compare_server_default": True,
        "include_name": lambda name, kind, parents: not (kind == "table" and re.fullmatch(r"ballots_\d+", str(name))),
    }
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))


def test_migrations_make_what_the_models_say(connection: Connection) -> None:
    assert differences(connection) == []


def test_a_difference_would_show(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE polls ADD COLUMN forgotten int"))
    connection.execute(text("ALTER TABLE tallies ALTER COLUMN total DROP NOT NULL"))
    assert len(differences(connection)) == 2
    connection.rollback()


def test_the_parts_of_ballots_cover_every_poll(connection: Connection) -> None:
    parts = connection.execute(
        text("SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname ~ '^ballots_[0-9]+$' AND relkind = 'r'")
    ).scalars()
    wanted = {f"FOR VALUES WITH (modulus {BALLOT_PARTITIONS}, remainder {part})" for part in range(BALLOT_PARTITIONS)}
    assert set(parts) == wanted


def test_down_to_nothing_and_up_again(connection: Connection) -> None:
    config = alembic_config(connection)
    command.downgrade(config, "base")
    connection.commit()
    assert set(inspect(connection).get_table_names()) <= {"alembic_version"}
    command.upgrade(config, "head")
    connection.commit()
    assert differences(connection) == []


def test_migrating_again_changes_nothing(database_url: str, connection: Connection) -> None:
    connection.execute(text("INSERT INTO secrets (name, value) VALUES ('kept', 'x')"))
    connection.commit()
    migrate(database_url)
    assert connection.execute(text("SELECT value FROM secrets WHERE name = 'kept'")).scalar() == "x"


def test_there_is_one_line_of_migrations(connection: Connection) -> None:
    script = ScriptDirectory.from_config(alembic_config(connection))
    assert len(script.get_heads()) == 1
    assert len(script.get_bases()) == 1
