"""Step 5 of 7, store: makes the database where it is missing, and brings its tables up to date."""

from __future__ import annotations

from pathlib import Path

import psycopg2
import structlog
from alembic import command
from alembic.config import Config
from psycopg2 import sql
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

log = structlog.get_logger(__name__)

_LOCK = 7_305_512  # any number, the same for all: one migration at a time


def ensure_database(database_url: str) -> None:
    """Creates the database where the server has none of this name and the user may.

    Raises:
        psycopg2.OperationalError: the server cannot be reached, or the database is missing and may not be made.
    """
    try:
        psycopg2.connect(database_url, connect_timeout=5).close()
    except psycopg2.OperationalError as missing:
        url = make_url(database_url)
        if f'database "{url.database}" does not exist' not in str(missing):
            raise
        maintenance = psycopg2.connect(
            url.set(database="postgres").render_as_string(hide_password=False), connect_timeout=5
        )
        try:
            maintenance.autocommit = True
            with maintenance.cursor() as cursor:
                cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(url.database or "")))
        except psycopg2.errors.DuplicateDatabase:
            log.info("another process made the database")
        else:
            log.info("database made", database=url.database)
        finally:
            maintenance.close()


def migrate(database_url: str) -> None:
    """Brings the tables up to the newest migration. May run at any time, and in several processes at once."""
    ensure_database(database_url)
    engine = create_engine(driver_url(database_url), poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})
        connection.commit()
        command.upgrade(alembic_config(connection), "head")
        connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
        connection.commit()


def alembic_config(connection: Connection) -> Config:
    """Alembic's settings for this connection."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def driver_url(database_url: str) -> str:
    """The URL by which SQLAlchemy reaches the database with psycopg2."""
    return database_url.replace("postgresql://", "postgresql+psycopg2://", 1)
