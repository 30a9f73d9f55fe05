"""Step 1 of 7, accept: the fast lane for the plainest and most frequent request, a vote.

Tornado's way through a request costs some 150 µs before a handler does anything. The lane reads the bytes of a
request itself and answers 202 where everything about it is plain: a known open poll in which nothing must be looked
up for the ballot, a JSON body that is a vote, no header that asks for more. Whatever else comes is left to
`VoteHandler` as it came, so that every other answer has one place. Only where Kafka does not acknowledge must the
lane answer itself: 503.
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
_HOST = re.compile(r"[A-Za-z0-9.\-_\[\]:]+")
_PLAIN_TYPES = ("application/json", "application/json; charset=utf-8", "application/json;charset=utf-8")
_ASKS_FOR_MORE = frozenset(
    {"authorization", "content-encoding", "expect", "idempotency-key", "prefer", "transfer-encoding", "upgrade"}
)

_decode = msgspec.json.Decoder(Vote).decode


class Head(NamedTuple):
    """What a plain request says before its body. `voter`: whom its cookie names, if that is one of ours."""

    poll_id: str
    length: int
    voter: str | None
    address: str
    secure: bool


class Ticket(NamedTuple):
    """A vote on its way into the log. `cookie` is a whole header line, or nothing."""

    poll: Poll
    option: int
    ballot: bytes
    cookie: bytes
    acknowledgement: asyncio.Future[Position]


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

    def read_head(self, head: bytes, peer: str) -> Head | None:
        """The head of a request, without the blank line after it, where it is a plain vote; else None.

        Worth remembering for a connection: a client sends the same one again and again.
        """
        found = _HEAD.fullmatch(head)
        key = self._services.cookie_secret
        if found is None or key is None:
            return None
        fields: dict[str, str] = {}
        for line in head.decode("latin-1").split("\r\n")[1:]:
            name, _, value = line.partition(":")
            name = name.lower()
            if name in fields or name in _ASKS_FOR_MORE or (self._cors and name == "origin"):
                return None
            fields[name] = value.strip(" \t")
        length = fields.get("content-length", "")
        if (
            not _HOST.fullmatch(fields.get("host", ""))
            or fields.get("content-type", "").lower() not in _PLAIN_TYPES
            or fields.get("connection", "keep-alive").lower() != "keep-alive"
            or not (length.isascii() and length.isdecimal() and len(length) <= 5 and 0 < int(length) <= MAX_BODY)
        ):
            return None
        voter = voter_in(fields["cookie"], key) if "cookie" in fields else None
        client = self._limits.client(peer, fields.get("x-forwarded-for"), fields.get("x-forwarded-proto"))
        return Head(found[1].decode(), int(length), voter, *client)

    def cast(self, head: Head, body: bytes) -> Ticket | None:
        """Hands a plain vote to Kafka. None where it is not so plain."""
        poll = self._book.peek(head.poll_id)
        if poll is None or poll.deleted or not poll.is_open(datetime.now(UTC)) or self._services.draining:
            return None
        if poll.one_vote_per is not None and not (poll.one_vote_per == "browser" and poll.allow_change):
            return None
        try:
            vote = _decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        option = poll.option_number(vote.option)
        if option is None or vote.voter is not None:
            return None
        voter, cookie = head.voter, b""
        if voter is None:
            voter = new_voter()
            key = self._services.cookie_secret or ""
            cookie = b"Set-Cookie: %b\r\n" % signed_cookie(voter, key, head.secure).encode()
        ballot = ballots.of_voter(poll.key, voter) if poll.one_vote_per else ballots.fresh()
        try:
            self._limits.take(self._limits.votes, head.address)
            return Ticket(poll, option, ballot, cookie, self._writer.cast(poll.id, ballot, option))
        except (RateLimited, LogUnavailable):
            return None

    def accepted_answer(self, ticket: Ticket) -> bytes:
        """The whole answer to an acknowledged vote, the same as `VoteHandler` gives."""
        self.accepted += 1
        poll_id = ticket.poll.id.encode()
        vote_id = ballots.vote_id(ticket.poll.key, ticket.ballot).encode()
        body = b'{"vote_id":"%b","poll_id":"%b","option":%b,"status":"accepted"}' % (
            vote_id,
            poll_id,
            encode(ticket.poll.option(ticket.option)),
        )
        return b"%bLocation: /api/polls/%b/votes/%b\r\n%bContent-Length: %d\r\n\r\n%b" % (
            self._common(),
            poll_id,
            vote_id,
            ticket.cookie,
            len(body),
            body,
        )

    def unavailable_answer(self, ticket: Ticket) -> bytes:
        """The whole answer where Kafka did not acknowledge. The cookie goes with it: who votes again is the same."""
        metrics.votes_unacknowledged.inc()
        metrics.http_requests.labels("5xx").inc()
        line, _, rest = headers.problem_response(LogUnavailable()).partition(b"\r\n")
        return line + b"\r\n" + ticket.cookie + rest

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
