"""The embedded stack: where each server is, as a URL, as environment variables and as a kept file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

HOST = "127.0.0.1"

CLUSTER = 3
"""Brokers of a cluster, copies of each partition in it, and nodes of its ZooKeeper ensemble."""

_MIN_INSYNC = 2
"""Copies that must hold a vote before it is answered: a cluster goes on without one broker, and not without two."""


@dataclasses.dataclass(frozen=True)
class Ports:
    """The wished port of each server; None means any free one. `more` has those of a cluster, by the names that stand
    in `links`."""

    kafka: int | None = None
    zookeeper: int | None = None
    postgres: int | None = None
    redis: int | None = None
    more: Mapping[str, int | None] = dataclasses.field(default_factory=dict)

    def wished(self, name: str) -> int | None:
        """The wish for the port of this name."""
        return self.more[name] if name in self.more else getattr(self, name, None)


@dataclasses.dataclass(frozen=True)
class Addresses:
    """Where everything is; None for what is not there, or is nobody's business here.

    `kafka` and `zookeeper` are `host:port`, of a cluster several with commas between, `postgres` is `postgresql://user:password@host:port/database`,
    `redis` is `redis://host:port/0`, `api` and `flower` are `http://host:port`.
    """

    kafka: str | None = None
    zookeeper: str | None = None
    postgres: str | None = None
    redis: str | None = None
    api: str | None = None
    flower: str | None = None

    def write(self, path: Path) -> None:
        """Writes them as JSON that only this user may read: the URL of PostgreSQL holds its password."""
        write_privately(path, json.dumps(dataclasses.asdict(self), indent=2) + "\n")

    def without_password(self) -> Addresses:
        """The same, fit for a log."""
        if self.postgres is None:
            return self
        url = urlsplit(self.postgres)
        open_url = url._replace(netloc=f"{url.username}@{url.hostname}:{url.port}")
        return dataclasses.replace(self, postgres=open_url.geturl())


def environment(addresses: Addresses) -> dict[str, str]:
    """The project's own environment variables for these addresses of ours; those of absent servers are left out."""
    variables: dict[str, str] = {}
    if addresses.postgres is not None:
        url = urlsplit(addresses.postgres)
        variables |= {
            "DB_USER": unquote(url.username or ""),
            "DB_PASSWORD": unquote(url.password or ""),
            "DB_HOST": url.hostname or HOST,
            "DB_PORT": str(url.port or 5432),
            "DB_NAME": unquote(url.path.lstrip("/")),
        }
    if addresses.kafka is not None:
        variables["KAFKA_BROKER"] = addresses.kafka
        if addresses.kafka.count(",") + 1 == CLUSTER:
            variables |= {"VOTES_REPLICATION": str(CLUSTER), "VOTES_MIN_INSYNC": str(_MIN_INSYNC)}
    if addresses.redis is not None:
        variables["REDIS_URL"] = addresses.redis
    return variables


def write_privately(path: Path, text: str) -> None:
    """Replaces the file whole, never half, with mode 0600 from its first byte."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
