"""Step 7 of 7, show: one socket, as the hub sees it."""

from __future__ import annotations

from collections.abc import Callable

from websocket.close_codes import CloseCode
from websocket.outbox import Outbox


class Viewer:
    """Has an outbox, and what is shown in it: `polls` by id, and the leaderboard where the hub's board holds it.

    `show` is the outbox's, at hand. `close` starts the closing handshake with a code. `unanswered` is whether its
    last ping was not answered yet.
    """

    __slots__ = ("close", "outbox", "polls", "show", "unanswered")

    def __init__(self, outbox: Outbox, close: Callable[[CloseCode], None]) -> None:
        self.outbox = outbox
        self.show = outbox.show
        self.close = close
        self.polls: set[str] = set()
        self.unanswered = False
