"""Step 7 of 7, show: every code this server closes a socket with, what it means, and whether to come back.

Codes below 4000 are RFC 6455's and IANA's; those from 4000 on are ours. A client that comes back waits a moment
drawn at random, for all the others come back too.
"""

from __future__ import annotations

from typing import NamedTuple


class CloseCode(NamedTuple):
    """`reason` is sent in the close frame; `reconnect` says whether it is of use to come back."""

    code: int
    reason: str
    reconnect: bool


PROTOCOL_ERROR = CloseCode(1002, "this is no frame of the WebSocket protocol", reconnect=False)
"""What came was no frame as RFC 6455 has it: a compressed one too, for no compression is agreed on."""

TOO_BIG = CloseCode(1009, "a frame may have 64 KiB at most", reconnect=False)
"""A frame was over the limit. The same frame would be refused again."""

RESTART = CloseCode(1012, "the server restarts", reconnect=True)
"""This process stops; another one serves already, or will in a moment."""

TRY_LATER = CloseCode(1013, "too many sockets here, try again later", reconnect=True)
"""This process has as many sockets as it takes."""

SLOW_READER = CloseCode(4008, "frames were not read", reconnect=True)
"""Nothing of what was sent could be delivered for seconds. Coming back starts with fresh snapshots."""

NO_PONG = CloseCode(4009, "pings were not answered", reconnect=True)
"""The peer seems to be gone."""

ALL = (PROTOCOL_ERROR, TOO_BIG, RESTART, TRY_LATER, SLOW_READER, NO_PONG)
