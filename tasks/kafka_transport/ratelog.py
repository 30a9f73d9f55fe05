"""Celery over Kafka: log lines that count, instead of a line for each loss or each attempt in an outage."""

from __future__ import annotations

import logging
from time import monotonic

#: Seconds between two lines of the same kind.
_EVERY = 10.0


class RateLog:
    """Counts occurrences, and logs count and latest detail at the first and then at most every ten seconds."""

    def __init__(self, logger: logging.Logger, text: str) -> None:
        """`text` takes the count (%d) and the latest detail (%s)."""
        self._logger, self._text = logger, text
        self._count = 0
        self._quiet_until = 0.0

    def add(self, detail: str) -> None:
        """One more."""
        self._count += 1
        if (now := monotonic()) >= self._quiet_until:
            self._logger.warning(self._text, self._count, detail)
            self._count, self._quiet_until = 0, now + _EVERY


class Thinned(logging.Filter):
    """Lets a line through once in ten seconds for each kind; librdkafka's lines begin with their kind (`FAIL …`)."""

    def __init__(self) -> None:
        super().__init__()
        self._quiet_until: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        kind = record.getMessage().partition(" ")[0]
        if (now := monotonic()) < self._quiet_until.get(kind, 0.0):
            return False
        self._quiet_until[kind] = now + _EVERY
        return True
