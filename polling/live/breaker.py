"""Step 6 of 7, tell: after a failure Redis is left alone for a moment, so that nobody waits for it in vain."""

from __future__ import annotations

import time
from collections.abc import Callable

from polling import telemetry

log = telemetry.logger(__name__)


class Breaker:
    """Open for `rest` seconds after a failure. Logs when Redis goes away and when it is back, not in between.

    `clock` gives monotonic seconds.
    """

    def __init__(self, part: str, rest: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._part = part
        self._rest = rest
        self._clock = clock
        self._again_at = 0.0
        self._away = False

    @property
    def open(self) -> bool:
        """Whether Redis is to be left alone now."""
        return self._away and self._clock() < self._again_at

    def failed(self, error: BaseException) -> None:
        """A command failed, or took too long."""
        self._again_at = self._clock() + self._rest
        if not self._away:
            self._away = True
            log.warning("redis away", part=self._part, error=type(error).__name__)

    def worked(self) -> None:
        """A command was answered."""
        if self._away:
            self._away = False
            log.info("redis back", part=self._part)
