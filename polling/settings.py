"""All rooms: the settings, read from the environment here and nowhere else.

A missing or malformed variable raises `SettingError`, whose text is one line that names it; the command line
prints that line and stops.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

T = TypeVar("T")
_MOST = 1e9
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class SettingError(Exception):
    """`<VARIABLE>: what is wrong with it.`"""


def _text(value: str) -> str:
    return value


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        number = int(value) if value.strip().lstrip("-").isdecimal() else low - 1
        if not low <= number <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return number

    return parse


def _seconds(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 86_400:
        raise ValueError("must be a number of seconds from 0 to 86400")
    return number


def _rate(value: str) -> tuple[float, float]:
    """`rate/burst`: tokens a second, and how many may be saved; `0` turns the limit off."""
    rate, _, burst = value.partition("/")
    try:
        numbers = float(rate), float(burst or rate)
    except ValueError as error:
        raise ValueError("must be rate/burst, as in 100/1000") from error
    if not all(0 <= number <= _MOST for number in numbers):
        raise ValueError("must be rate/burst, two numbers from 0 to a billion")
    return numbers


def _url(*schemes: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if urlsplit(value).scheme not in schemes or not urlsplit(value).netloc:
            raise ValueError(f"must be a URL that starts with {' or '.join(s + '://' for s in schemes)}")
        return value

    return parse


def _brokers(value: str) -> str:
    for broker in value.split(","):
        host, _, port = broker.strip().rpartition(":")
        if not host or not port.isdecimal():
            raise ValueError("must be host:port, or several of them with commas between")
    return ",".join(broker.strip() for broker in value.split(","))


def _words(value: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in value.split(",") if word.strip())


def _framers(value: str) -> tuple[str, ...]:
    """Origins as a Content-Security-Policy takes them; `none` for nobody."""
    words = _words(value)
    if words == ("none",):
        return ()
    if not all(re.fullmatch(r"\*|https?://[A-Za-z0-9.*_\[\]:-]+", word) for word in words):
        raise ValueError("must be *, none, or origins as in https://example.org, with commas between")
    return words


def _networks(value: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(word, strict=False) for word in _words(value))


def _choice(*choices: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value.lower() not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return value.lower()

    return parse


def _setting(parse: Callable[[str], T], default: Any = None, *, required: bool = False, secret: bool = False) -> Any:
    return dataclasses.field(default=default, repr=not secret, metadata={"parse": parse, "required": required})


@dataclasses.dataclass(frozen=True)
class Settings:
    """Every setting by its lower-case name; the variable is the same in capitals. `.env.sample` explains each."""

    db_user: str = _setting(_text, required=True)
    db_password: str = _setting(_text, required=True, secret=True)
    db_host: str = _setting(_text, required=True)
    db_name: str = _setting(_text, required=True)
    db_port: int = _setting(_integer(1, 65535), 5432)
    kafka_broker: str = _setting(_brokers, required=True)
    port: int = _setting(_integer(0, 65535), 5000)
    redis_url: str = _setting(_url("redis", "rediss", "unix"), "redis://127.0.0.1:6379/0", secret=True)
    celery_broker_url: str | None = _setting(_url("redis", "rediss", "kafkatasks"), secret=True)
    secret_key: str | None = _setting(_text, secret=True)

    bind_address: str = _setting(_text, "127.0.0.1")
    allowed_origins: tuple[str, ...] = _setting(_words, ())
    embed_origins: tuple[str, ...] = _setting(_framers, ("*",))
    trusted_proxies: tuple[Network, ...] = _setting(_networks, ())
    rate_limit_exempt: tuple[Network, ...] = _setting(_networks, _networks("127.0.0.0/8,::1/128"))
    rate_limit_votes: tuple[float, float] = _setting(_rate, (100.0, 1000.0))
    rate_limit_voter: tuple[float, float] = _setting(_rate, (50.0, 500.0))
    rate_limit_polls: tuple[float, float] = _setting(_rate, (2.0, 120.0))

    votes_partitions: int = _setting(_integer(1, 16384), 8)
    votes_replication: int = _setting(_integer(1, 16), 1)
    votes_min_insync: int = _setting(_integer(1, 16), 1)
    log_retention_days: int = _setting(_integer(0, 36_500), 30)
    allowed_skew: float = _setting(_seconds, 5.0)
    bridge_batch: int = _setting(_integer(1, 20_000), 6000)
    bridge_window: int = _setting(_integer(1, 1024), 16)
    bridge_deadline: float = _setting(_seconds, 10.0)

    node_name: str | None = _setting(_text)

    log_level: str = _setting(_choice("debug", "info", "warning", "error"), "info")
    log_format: str = _setting(_choice("console", "json"), "json")
    metrics_port: int | None = _setting(_integer(0, 65535))
    flower_port: int = _setting(_integer(0, 65535), 5555)
    flower_basic_auth: str | None = _setting(_text, secret=True)

    @property
    def database_url(self) -> str:
        """A libpq URL, with the password in it: never to be logged."""
        user, password = quote(self.db_user, safe=""), quote(self.db_password, safe="")
        return f"postgresql://{user}:{password}@{self.db_host}:{self.db_port}/{quote(self.db_name, safe='')}"

    @property
    def task_broker_url(self) -> str:
        """Celery's broker: the Kafka, where nothing else is named."""
        return self.celery_broker_url or f"kafkatasks://{self.kafka_broker}//"


def read(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process. An empty variable is as none.

    Raises:
        SettingError: a variable is missing or malformed.
    """
    source = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    for field in dataclasses.fields(Settings):
        name = field.name.upper()
        text = source.get(name, "")
        if not text:
            if field.metadata["required"]:
                raise SettingError(f"{name}: is not set. See .env.sample.")
            continue
        try:
            values[field.name] = field.metadata["parse"](text)
        except ValueError as error:
            raise SettingError(f"{name}: {error}.") from error
    settings = Settings(**values)
    if settings.votes_min_insync > settings.votes_replication:
        raise SettingError("VOTES_MIN_INSYNC: may not be greater than VOTES_REPLICATION.")
    return settings


def environment(env_file: str | None = None) -> dict[str, str]:
    """The process's environment, with the variables of a `KEY=VALUE` file beneath it.

    Raises:
        SettingError: the file cannot be read, or a line of it is no assignment.
    """
    merged: dict[str, str] = {}
    path = env_file or os.environ.get("ENV_FILE")
    if path:
        merged.update(_read_file(path))
    merged.update(os.environ)
    return merged


def _read_file(path: str) -> dict[str, str]:
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except OSError as error:
        raise SettingError(f"ENV_FILE: {path} cannot be read ({error.strerror}).") from error
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.removeprefix("export ").partition("=")
        if not equals or not name.strip().isidentifier():
            raise SettingError(f"ENV_FILE: line {number} of {path} is no KEY=VALUE.")
        found[name.strip()] = _unquote(value.strip())
    return found


def _unquote(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value.split(" #", 1)[0].rstrip()
