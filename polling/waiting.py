"""All rooms: waits for a server that is not there yet, and says for which."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from polling.telemetry import logger

log = logger(__name__)

T = TypeVar("T")

_PAUSE = 1.0
_SAY_EVERY = 5.0
LIMIT = 120.0


def wait_for(server: str, attempt: Callable[[], T], away: tuple[type[Exception], ...], limit: float = LIMIT) -> T:
    """What `attempt` answers, tried again while it raises one of `away`, for at most `limit` seconds.

    Raises:
        Exception: the last of `away`, after the limit.
    """
    begun = time.monotonic()
    said = float("-inf")
    while True:
        try:
            return attempt()
        except away as error:
            now = time.monotonic()
            if now - begun > limit:
                raise
            if now - said >= _SAY_EVERY:
                log.warning("waiting", server=server, error=type(error).__name__)
                said = now
            time.sleep(_PAUSE)
