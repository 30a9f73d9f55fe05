"""Step 1 of 7, accept: the fast lane for the plainest and most frequent request, a vote.

Tornado's way through a request costs some 150 µs before a handler does anything. The lane reads the bytes of a
request itself and answers 202 where everything about it is plain: a known open poll that takes anybody's vote, a JSON
body that is a vote for one of its options, no header that asks for more. Whatever else comes is left to `VoteHandler`
as it came, so that every other answer has one place. Only where Kafka does not acknowledge must the lane answer
itself: 503.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from polling.api import headers
from polling.api.answers import Vote, encode
from polling.api.heads import FIELDS, plain_fields
from polling.api.services import Services
from polling.api.voters import new_voter, signed_cookie, voter_in
from polling.casting import Cast
from polling.casting.casting import key_flaw
from polling.core.errors import LogUnavailable, PollingError
from polling.core.origins import is_foreign
from polling.core.votes import CastVote
from polling.telemetry import metrics

MAX_BODY = 4 * 1024

_HEAD = re.compile(rb"POST /api/polls/([0-9a-z]{1,40})/vote HTTP/1\.1" + FIELDS)
_PLAIN_TYPES = ("application/json", "application/json; charset=utf-8", "application/json;charset=utf-8")
_ASKS_FOR_MORE = frozenset({"authorization", "content-encoding", "expect", "prefer", "transfer-encoding", "upgrade"})

_decode = msgspec.json.Decoder(Vote).decode


class Head(NamedTuple):
    """What a plain request says before its body. `voter`: whom its cookie names, if that is one of ours. `limited`:
    the address is not exempt from the limits.
    """

    poll_id: str
    length: int
    key: str | None
    voter: str | None
    address: str
    secure: bool
    limited: bool


class Lane:
    """One process has one. `accepted` counts since the last `flush`, for metrics cost more than a vote may."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._book = services.book
        self._casting = services.casting
        self._limits = services.limits
        self._refused = _ASKS_FOR_MORE | ({"origin"} if services.settings.allowed_origins else set())
        self._begin = headers.Dated(headers.API_HEADERS, "HTTP/1.1 202 Accepted\r\n")
        self.accepted = 0

    def read_head(self, head: bytes, peer: str) -> Head | None:
        """The head of a request, without the blank line after it, where it is a plain vote; else None.

        Worth remembering for a connection: a client sends the same one again and again.
        """
        found = _HEAD.fullmatch(head)
        key = self._services.cookie_secret
        if found is None or key is None:
            return None
        fields = plain_fields(head, self._refused)
        if fields is None:
            return None
        length = fields.get("content-length", "")
        if fields.get("content-type", "").lower() not in _PLAIN_TYPES or not _is_length(length):
            return None
        idempotency_key = fields.get("idempotency-key")
        if idempotency_key is not None and not (idempotency_key.isascii() and key_flaw(idempotency_key) is None):
            return None
        voter = voter_in(fields["cookie"], key) if "cookie" in fields else None
        if voter is not None and is_foreign(fields.get("origin"), fields["host"], ()):
            return None
        address, secure = self._limits.client(peer, fields.get("x-forwarded-for"), fields.get("x-forwarded-proto"))
        limited = self._limits.bucket_of(address) is not None
        return Head(found[1].decode(), int(length), idempotency_key, voter, address, secure, limited)

    async def answer(self, head: Head, body: bytes) -> bytes | None:
        """Casts a plain vote and says so: a whole answer. None, and nothing cast, where it is not so plain."""
        poll = self._book.peek(head.poll_id)
        if poll is None or poll.deleted or poll.one_vote_per == "voter" or self._services.draining:
            return None
        more, voter = b"", head.voter
        if voter is None:
            voter = new_voter()
            secret = self._services.cookie_secret or ""
            more = b"Set-Cookie: %b\r\n" % signed_cookie(voter, secret, head.secure).encode()
        try:
            vote = _decode(body)
            if vote.voter is not None:
                return None
            paper = self._casting.judge(poll, CastVote(poll.id, vote.option, head.key, voter), datetime.now(UTC))
            # Only what is answered here is paid for here: VoteHandler takes its own.
            cast = await self._casting.recall(paper) if paper.repeatable else None
            if head.limited:
                more += self._take(head)
            acknowledgement = None if cast else self._casting.produce(paper)
        except (PollingError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if acknowledgement is not None:
            try:
                cast = await self._casting.acknowledged(paper, acknowledgement)
            except LogUnavailable:
                return self._unavailable(more)
        assert cast is not None
        return self._accepted(cast, more)

    def _take(self, head: Head) -> bytes:
        """The header lines that tell of the limits, after a vote was taken from them. Raises RateLimited."""
        of_address = self._limits.take(self._limits.votes, head.address)
        of_voter = self._limits.take_of_voter(head.address, head.voter) if head.voter is not None else None
        taken = [one for one in (of_address, of_voter) if one is not None]
        if not taken:
            return b""
        policy, state = ", ".join(one.policy for one in taken), ", ".join(one.state for one in taken)
        return f"RateLimit-Policy: {policy}\r\nRateLimit: {state}\r\n".encode()

    def _accepted(self, cast: Cast, more: bytes) -> bytes:
        """The same as `VoteHandler` answers. `more` are header lines."""
        self.accepted += 1
        poll_id, vote_id = cast.poll.id.encode(), cast.vote_id.encode()
        body = b'{"vote_id":"%b","poll_id":"%b","option":%b,"status":"accepted"}' % (
            vote_id,
            poll_id,
            encode(cast.poll.option(cast.option)),
        )
        return b"%bLocation: /api/polls/%b/votes/%b\r\n%bContent-Length: %d\r\n\r\n%b" % (
            self._begin.now(),
            poll_id,
            vote_id,
            more,
            len(body),
            body,
        )

    def _unavailable(self, more: bytes) -> bytes:
        """Kafka did not acknowledge. The cookie goes with it: who votes again must be the same."""
        metrics.votes_unacknowledged.inc()
        metrics.http_requests.labels("5xx").inc()
        line, _, rest = headers.problem_response(LogUnavailable()).partition(b"\r\n")
        return line + b"\r\n" + more + rest

    def flush(self) -> None:
        """Adds what was counted to the metrics."""
        accepted, self.accepted = self.accepted, 0
        if accepted:
            metrics.votes_accepted.labels("http").inc(accepted)
            metrics.http_requests.labels("2xx").inc(accepted)


def _is_length(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 5 and 0 < int(text) <= MAX_BODY
