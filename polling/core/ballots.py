"""Step 1 of 7, accept: the ballot, the one mechanism by which a vote counts once.

Every vote names a ballot of 16 bytes. Plain votes get a fresh one; a vote with an Idempotency-Key, or of a
known voter, gets the same one each time, by HMAC-SHA-256 (RFC 2104) under the poll's own key. A vote id is the
ballot and a MAC over it, so that an id nobody made is known without storage.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import time

BALLOT_BYTES = 16
MAC_BYTES = 8


def fresh() -> bytes:
    """A new ballot: 48 bits of milliseconds, then 80 random bits. Ordered by time, which the index likes."""
    return int(time.time() * 1000).to_bytes(6) + os.urandom(10)


def of_key(poll_key: bytes, idempotency_key: str) -> bytes:
    """The ballot of a vote that was sent with an Idempotency-Key."""
    return hmac.digest(poll_key, b"key:" + idempotency_key.encode(), "sha256")[:BALLOT_BYTES]


def of_voter(poll_key: bytes, voter: str) -> bytes:
    """The ballot of a voter in a poll with one vote per browser or voter."""
    return hmac.digest(poll_key, b"voter:" + voter.encode(), "sha256")[:BALLOT_BYTES]


def vote_id(poll_key: bytes, ballot: bytes) -> str:
    """The public name of a ballot: 32 characters, base64url of the ballot and 8 bytes of MAC."""
    return base64.urlsafe_b64encode(ballot + _mac(poll_key, ballot)).decode()


def from_vote_id(poll_key: bytes, text: str) -> bytes | None:
    """The ballot that a vote id names, or None where this poll never made that id."""
    try:
        raw = base64.b64decode(text, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    ballot, mac = raw[:BALLOT_BYTES], raw[BALLOT_BYTES:]
    if len(mac) != MAC_BYTES or not hmac.compare_digest(mac, _mac(poll_key, ballot)):
        return None
    # The decoder takes + and / as well; no id was ever made with those.
    return ballot if base64.urlsafe_b64encode(raw) == text.encode() else None


def _mac(poll_key: bytes, ballot: bytes) -> bytes:
    return hmac.digest(poll_key, b"vote_id:" + ballot, "sha256")[:MAC_BYTES]
