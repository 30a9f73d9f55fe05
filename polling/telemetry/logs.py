"""All rooms: structured logs: one line an event, with poll, ballot, partition and offset where they apply."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

import structlog

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def logger(name: str) -> Any:
    """A logger that takes an event and key-value pairs: `log.info("batch counted", votes=2000)`."""
    return structlog.get_logger(name)


def set_up_logs(role: str, level: str, log_format: str) -> None:
    """One line an event on standard error, JSON or for reading; the standard library's loggers join in."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _with_role(role),
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)
    )
    structlog.configure(
        processors=[
            *shared,
            structlog.processors.format_exc_info,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.processors.format_exc_info],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    for repeats_itself in ("librdkafka", "psycopg.pool"):
        logging.getLogger(repeats_itself).addFilter(Thinned())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[level])
    for chatty in ("tornado.access", "alembic", "psycopg.pool", "kombu"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, _LEVELS[level]))


class Thinned(logging.Filter):
    """Lets a logger's lines through once in `seconds` for each kind: who cannot connect says so many times a second."""

    def __init__(self, seconds: float = 10.0) -> None:
        super().__init__()
        self._seconds = seconds
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        words = record.getMessage()
        kind = words.partition("[thrd:")[0]
        now = time.monotonic()
        if now - self._last.get(kind, float("-inf")) < self._seconds:
            return False
        self._last[kind] = now
        return True


def _with_role(role: str) -> Any:
    def add(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
        event.setdefault("role", role)
        return event

    return add
