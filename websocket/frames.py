"""Step 7 of 7, show: what the server says, as whole WebSocket frames, so that one is built for all who get it."""

from __future__ import annotations

import struct
from typing import Any

import msgspec

from polling.core.errors import PollingError
from polling.core.leaderboard import Leaderboard
from polling.core.polls import MAX_FRAME, Poll, Results

PROTOCOL = 1
PING = b"\x89\x00"

_TEXT = 0x81
_encode = msgspec.json.Encoder().encode


def text(payload: bytes) -> bytes:
    """A whole, unmasked text frame (RFC 6455, 5.2) around these bytes, which must be UTF-8."""
    length = len(payload)
    if length < 126:
        return bytes((_TEXT, length)) + payload
    if length < 65536:
        return struct.pack("!BBH", _TEXT, 126, length) + payload
    return struct.pack("!BBQ", _TEXT, 127, length) + payload


def results(poll: Poll, now: Results, *, shown: bool = True) -> bytes:
    """How a poll stands: a whole snapshot. Not `shown`: for those from whom the results are hidden."""
    hidden = {} if shown else {"results_hidden": True}
    return text(
        _encode(
            {
                "type": "results",
                "poll_id": now.poll_id,
                "revision": now.revision,
                "total_votes": now.total,
                "status": now.status,
                "final": now.final,
                "options": [
                    {
                        "id": option_id,
                        "text": words,
                        "votes": votes if shown else None,
                        "share": part if shown else None,
                    }
                    for option_id, words, votes, part in now.of_options(poll)
                ],
                **hidden,
            }
        )
    )


def viewers(poll_id: str, sockets: int) -> bytes:
    """How many sockets watch a poll."""
    return text(_encode({"type": "viewers", "poll_id": poll_id, "viewers": sockets}))


def leaderboard(board: Leaderboard) -> bytes:
    return text(_encode({"type": "leaderboard", "updated_at": board.updated_at, "entries": board.entries}))


def welcome(subscriptions: int) -> bytes:
    """The first frame of every socket, with the limits that its client should know."""
    limits = {"frame_bytes": MAX_FRAME, "subscriptions": subscriptions}
    return text(_encode({"type": "welcome", "protocol": PROTOCOL, "limits": limits}))


def deleted(poll_id: str) -> bytes:
    return text(_encode({"type": "deleted", "poll_id": poll_id}))


def unsubscribed(poll_id: str | None) -> bytes:
    """From a poll, or from the leaderboard where it is None."""
    what: dict[str, Any] = {"leaderboard": True} if poll_id is None else {"poll": poll_id}
    return text(_encode({"type": "unsubscribed", **what}))


def accepted(vote_id: str, ref: msgspec.Raw | None) -> bytes:
    """Kafka has the vote. `ref` comes back as it was sent, byte for byte."""
    return text(_encode({"type": "vote", **_ref(ref), "status": "accepted", "vote_id": vote_id}))


def error(fault: PollingError, ref: msgspec.Raw | None = None, poll_id: str | None = None) -> bytes:
    """An error; `poll_id` where it ends a subscription."""
    about = {} if poll_id is None else {"poll": poll_id}
    body = {"type": "error", "code": fault.code, "detail": fault.detail, **about, **fault.extra, **_ref(ref)}
    return text(_encode(body))


PONG = text(b'{"type":"pong"}')


def _ref(ref: msgspec.Raw | None) -> dict[str, msgspec.Raw]:
    return {"ref": ref} if ref else {}
