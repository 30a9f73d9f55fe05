"""The embedded stack: keeps one complaint, said again twenty times a second, from drowning the merged log."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

_NUMBERS = re.compile(r"\d[\d.:-]*")
_REPEATERS = "rdkafka#"
"""The Kafka client's own lines: with the broker away, each connection complains at each attempt."""
_FORGET = 1000
"""Complaints remembered at once."""


class Repeats:
    """Lets one of the Kafka client's lines through, and its like again only after `period` seconds."""

    def __init__(self, period: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._period = period
        self._clock = clock
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def admit(self, name: str, line: str) -> str | None:
        """The line, with how many like it were held back before, or None where it is held back itself."""
        if _REPEATERS not in line:
            return line
        key = name, _NUMBERS.sub("#", line)
        now = self._clock()
        since, held = self._seen.get(key, (None, 0))
        if since is not None and now - since < self._period:
            self._seen[key] = since, held + 1
            return None
        if len(self._seen) >= _FORGET:
            self._seen.clear()
        self._seen[key] = now, 0
        return f"{line} ({held} more like it were left out)" if held else line
