"""Step 7 of 7, show: one socket, as the hub sees it."""

from __future__ import annotations

from collections.abc import Callable

from websocket.close_codes import CloseCode
from websocket.outbox import Outbox


class Viewer:
    """Has an outbox, and what is shown in it: `polls` by id, and the leaderboard where the hub's followers hold it.

    `close` starts the closing handshake with a code. `unanswered` is whether its last ping was not answered yet.
    """

    __slots__ = ("close", "outbox", "polls", "unanswered")

    def __init__(self, outbox: Outbox, close: Callable[[CloseCode], None]) -> None:
        self.outbox = outbox
        self.close = close
        self.polls: set[str] = set()
        self.unanswered = False
