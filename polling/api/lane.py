"""Step 1 of 7, accept: the fast lane for the plainest and most frequent request, a vote.

Tornado's way through a request costs some 150 µs before a handler does anything. The lane reads the bytes of a
request itself and answers 202 where everything about it is plain: a known open poll without one vote per voter, a
JSON body that is a vote, no header that asks for more. Whatever else comes is left to `VoteHandler` as it came, so that
every other answer has one place. Only where Kafka does not acknowledge must the lane answer itself: 503.
"""

from __future__ import annotations

import asyncio
import re
import time
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from tornado.httputil import format_timestamp

from polling.api import headers
from polling.api.answers import Vote, encode
from polling.api.services import Services
from polling.api.voters import new_voter, signed_cookie, voter_in
from polling.core import ballots
from polling.core.errors import LogUnavailable, RateLimited
from polling.core.polls import Poll
from polling.telemetry import metrics
from polling.vote_log import Position

MAX_HEAD = 8 * 1024
MAX_BODY = 4 * 1024

# RFC 9112: a field name is a token, and no line begins with a blank. What deviates is Tornado's to judge.
_HEAD = re.compile(
    rb"POST /api/polls/([0-9a-z]{1,40})/vote HTTP/1\.1(?:\r\n[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t -~\x80-\xff]*)+"
)
_PLAIN_TYPES = (b"application/json", b"application/json; charset=utf-8", b"application/json;charset=utf-8")
_ASKS_FOR_MORE = frozenset(
    {
        b"authorization",
        b"content-encoding",
        b"expect",
        b"forwarded",
        b"idempotency-key",
        b"prefer",
        b"transfer-encoding",
        b"upgrade",
        b"x-forwarded-for",
        b"x-forwarded-proto",
    }
)

_decode = msgspec.json.Decoder(Vote).decode


class Head(NamedTuple):
    """What a plain request says before its body. `voter_known`: its cookie is one of ours."""

    poll_id: str
    length: int
    voter_known: bool


class Lane:
    """One process has one. `accepted` counts since the last `flush`, for metrics cost more than a vote may."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._book = services.book
        self._writer = services.writer
        self._limits = services.limits
        self._cors = bool(services.settings.allowed_origins)
        self._prepared = b""
        self._prepared_until = 0.0
        self.accepted = 0

    def read_head(self, head: bytes) -> Head | None:
        """The head of a request, without the blank line after it, where it is a plain vote; else None.

        Worth remembering for a connection: a client sends the same one again and again.
        """
        found = _HEAD.fullmatch(head)
        if found is None or self._services.cookie_secret is None:
            return None
        fields: dict[bytes, bytes] = {}
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            name = name.lower()
            if name in fields or name in _ASKS_FOR_MORE or (self._cors and name == b"origin"):
                return None
            fields[name] = value.strip(b" \t")
        length = fields.get(b"content-length", b"")
        if (
            not fields.get(b"host")
            or b"," in fields[b"host"]
            or fields.get(b"content-type", b"").lower() not in _PLAIN_TYPES
            or fields.get(b"connection", b"keep-alive").lower() != b"keep-alive"
            or not length.isdigit()
            or len(length) > 5
            or not 0 < int(length) <= MAX_BODY
        ):
            return None
        cookie = fields.get(b"cookie")
        known = cookie is not None and voter_in(cookie.decode("latin-1"), self._services.cookie_secret) is not None
        return Head(found[1].decode(), int(length), known)

    def cast(self, head: Head, body: bytes, address: str) -> tuple[Poll, int, bytes, asyncio.Future[Position]] | None:
        """Hands a plain vote to Kafka: its poll, option, ballot, and the acknowledgement to come. Else None."""
        poll = self._book.peek(head.poll_id)
        if poll is None or poll.deleted or poll.one_vote_per is not None or not poll.is_open(datetime.now(UTC)):
            return None
        try:
            vote = _decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        option = poll.option_number(vote.option)
        if option is None or vote.voter is not None or self._services.draining:
            return None
        ballot = ballots.fresh()
        try:
            self._limits.take(self._limits.votes, address)
            return poll, option, ballot, self._writer.cast(poll.id, ballot, option)
        except (RateLimited, LogUnavailable):
            return None

    def accept(self, head: Head, poll: Poll, option: int, ballot: bytes, secure: bool) -> bytes:
        """The whole answer to an acknowledged vote, the same as `VoteHandler` gives."""
        self.accepted += 1
        vote_id = ballots.vote_id(poll.key, ballot)
        cookie = b""
        if not head.voter_known and self._services.cookie_secret:
            cookie = b"Set-Cookie: %b\r\n" % signed_cookie(new_voter(), self._services.cookie_secret, secure).encode()
        body = b'{"vote_id":"%b","poll_id":"%b","option":%b,"status":"accepted"}' % (
            vote_id.encode(),
            poll.id.encode(),
            encode(poll.option(option)),
        )
        return b"%bLocation: /api/polls/%b/votes/%b\r\n%bContent-Length: %d\r\n\r\n%b" % (
            self._common(),
            poll.id.encode(),
            vote_id.encode(),
            cookie,
            len(body),
            body,
        )

    def unavailable(self) -> bytes:
        """The whole answer where Kafka did not acknowledge."""
        metrics.votes_unacknowledged.inc()
        metrics.http_requests.labels("5xx").inc()
        return headers.problem_response(LogUnavailable())

    def flush(self) -> None:
        """Adds what was counted to the metrics."""
        accepted, self.accepted = self.accepted, 0
        if accepted:
            metrics.votes_accepted.labels("http").inc(accepted)
            metrics.http_requests.labels("2xx").inc(accepted)

    def _common(self) -> bytes:
        now = time.time()
        if now >= self._prepared_until:
            self._prepared_until = float(int(now) + 1)
            lines = {**headers.API_HEADERS, "Date": format_timestamp(now)}
            text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
            self._prepared = f"HTTP/1.1 202 Accepted\r\n{text}".encode()
        return self._prepared
