"""Step 7 of 7, show: every code this server closes a socket with, what it means, and whether to come back.

Codes below 4000 are RFC 6455's and IANA's; those from 4000 on are ours. Where many sockets are closed at once each is
told another moment at which to come back, so that they do not all come in the same.
"""

from __future__ import annotations

import json
from typing import NamedTuple


class CloseCode(NamedTuple):
    """`reason` is sent in the close frame; `reconnect` says whether it is of use to come back; `many`, that others are
    closed for the same cause."""

    code: int
    reason: str
    reconnect: bool
    many: bool = False

    def text(self, after: int) -> str:
        """What the close frame says: the reason; for one of many as JSON, with the milliseconds to wait."""
        if not self.many:
            return self.reason
        return json.dumps({"reason": self.reason, "reconnect_after_ms": after}, separators=(",", ":"))


PROTOCOL_ERROR = CloseCode(1002, "this is no frame of the WebSocket protocol", reconnect=False)
"""What came was no frame as RFC 6455 has it: a compressed one too, for no compression is agreed on."""

TOO_BIG = CloseCode(1009, "a frame may have 64 KiB at most", reconnect=False)
"""A frame was over the limit. The same frame would be refused again."""

RESTART = CloseCode(1012, "the server restarts", reconnect=True, many=True)
"""This process stops; another one serves already, or will in a moment."""

TRY_LATER = CloseCode(1013, "too many sockets here, try again later", reconnect=True, many=True)
"""This process has as many sockets as it takes."""

SLOW_READER = CloseCode(4008, "frames were not read", reconnect=True)
"""Nothing of what was sent could be delivered for seconds. Coming back starts with fresh snapshots."""

NO_PONG = CloseCode(4009, "pings were not answered", reconnect=True)
"""The peer seems to be gone."""

ALL = (PROTOCOL_ERROR, TOO_BIG, RESTART, TRY_LATER, SLOW_READER, NO_PONG)

SOONEST = 500
"""Milliseconds in which another process may take over, and nobody needs to come."""

SHORTEST_SPREAD = 2_000
RETURNS = 1_000
"""Sockets a second that come back: a process opens some thousands a second, and has other things to do."""


def come_back_after(sockets: int, chance: float) -> int:
    """Milliseconds that one of so many sockets had better wait. `chance`, from 0 to 1, is drawn for each."""
    return SOONEST + round(chance * max(SHORTEST_SPREAD, sockets * 1000 / RETURNS))
