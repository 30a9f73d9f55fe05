"""Step 1 of 7, accept: the fast lane for readers: a poll with its results, which a crowd asks for again and again.

As the votes' lane: what is not plain is left to `PollHandler` as it came. The answer's bytes are made once for all who
read the same results.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import NamedTuple

from polling.api import headers
from polling.api.answers import encode, poll_answer
from polling.api.etags import matches
from polling.api.heads import FIELDS, plain_fields
from polling.api.services import Services
from polling.core.errors import PollingError
from polling.core.polls import Poll, Results
from polling.telemetry import metrics

_HEAD = re.compile(rb"GET /api/polls/([0-9a-z]{1,40}) HTTP/1\.1" + FIELDS)
_REFUSED = frozenset({"content-length", "content-encoding", "expect", "transfer-encoding", "upgrade"})

_COMMON = {**headers.API_HEADERS, "Cache-Control": "no-cache"}
_TYPE = f"Content-Type: {_COMMON.pop('Content-Type')}\r\n"
"""A 304 has none."""

KEPT = 1_000
"""Answers kept in memory; the one that was asked for longest ago leaves first."""


class Reading(NamedTuple):
    """What a plain reader says. `known` is its If-None-Match."""

    poll_id: str
    known: str | None
    length: int = 0


class _Prepared(NamedTuple):
    """`rest` is what follows the date in the answer 200, its body included."""

    poll: Poll
    results: Results
    etag: str
    rest: bytes


class ReadingLane:
    """One process has one."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._refused = _REFUSED | ({"origin"} if services.settings.allowed_origins else set())
        self._prepared: OrderedDict[str, _Prepared] = OrderedDict()
        self._common = headers.Dated(_COMMON)
        self._shown = 0
        self._unchanged = 0

    def read_head(self, head: bytes) -> Reading | None:
        """The head of a request, without the blank line after it, where it is a plain question; else None."""
        found = _HEAD.fullmatch(head)
        fields = None if found is None else plain_fields(head, self._refused)
        if found is None or fields is None:
            return None
        return Reading(found[1].decode(), fields.get("if-none-match"))

    async def answer(self, reading: Reading) -> bytes | None:
        """A whole answer; None where it is not so plain."""
        poll = self._services.book.peek(reading.poll_id)
        if poll is None or poll.deleted or poll.results_visible != "always" or self._services.draining:
            return None
        try:
            results = await self._services.results.get(poll)
        except PollingError:
            return None
        prepared = self._prepared.get(poll.id)
        if prepared is None or prepared.results is not results or prepared.poll is not poll:
            prepared = self._prepare(poll, results)
        if results.settled and matches(reading.known, prepared.etag):
            self._unchanged += 1
            return b"HTTP/1.1 304 Not Modified\r\n%bEtag: %b\r\n\r\n" % (self._common.now(), prepared.etag.encode())
        self._shown += 1
        return b"HTTP/1.1 200 OK\r\n%b%b" % (self._common.now(), prepared.rest)

    def flush(self) -> None:
        """Adds what was counted to the metrics. To be called every second or so."""
        for label, number in (("2xx", self._shown), ("3xx", self._unchanged)):
            if number:
                metrics.http_requests.labels(label).inc(number)
        self._shown = self._unchanged = 0

    def _prepare(self, poll: Poll, results: Results) -> _Prepared:
        etag = f'"{results.revision}"'
        body = encode(poll_answer(poll, results, shown=True))
        lines = f"Etag: {etag}\r\n{_TYPE}Content-Length: {len(body)}\r\n\r\n"
        prepared = _Prepared(poll, results, etag, lines.encode() + body)
        self._prepared[poll.id] = prepared
        self._prepared.move_to_end(poll.id)
        if len(self._prepared) > KEPT:
            self._prepared.popitem(last=False)
        return prepared
