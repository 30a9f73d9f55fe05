"""Step 1 of 7, accept: the votes of one socket that are under way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import msgspec

from polling import telemetry
from polling.casting import Acknowledgement, Casting, Paper
from polling.casting.casting import key_flaw
from polling.core import ballots
from polling.core.errors import InternalError, PollingError, StoreUnavailable, ValidationError
from polling.core.votes import CastVote
from polling.telemetry import metrics
from websocket import frames
from websocket.outbox import Outbox
from websocket.requests import Vote

log = telemetry.logger(__name__)

MAX_VOTES = 64
"""Votes of one socket that may wait for Kafka at once; it is not read while it has as many."""

_ACCEPTED = metrics.votes_accepted.labels("socket")
_asking: set[asyncio.Task[None]] = set()  # the loop itself holds tasks by weak references alone


class Voting:
    """Casts votes and answers them in the outbox. `limit` takes one vote from what a voter may cast, or raises
    RateLimited; `voter` is None only where no cookie could be read. `on_end` is called after each answer.
    """

    __slots__ = ("_casting", "_limit", "_on_end", "_outbox", "_room", "_voter", "under_way")

    def __init__(
        self,
        casting: Casting,
        outbox: Outbox,
        voter: str | None,
        limit: Callable[[str | None], None],
        on_end: Callable[[], None],
    ) -> None:
        self.under_way = 0
        self._casting = casting
        self._outbox = outbox
        self._voter = voter
        self._limit = limit
        self._on_end = on_end
        self._room: asyncio.Future[None] | None = None

    @property
    def full(self) -> bool:
        return self.under_way >= MAX_VOTES

    async def room(self) -> None:
        """Returns when there is room for one more."""
        while self.full:
            if self._room is None:
                self._room = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._room)

    def cast(self, request: Vote) -> None:
        """Casts a vote; the answer follows. Most need nothing but memory and the log, and so no task of their own."""
        self.under_way += 1
        try:
            self._limit(self._voter)
            flaw = None if request.idempotency_key is None else key_flaw(request.idempotency_key)
            if flaw:
                raise ValidationError.at("#/idempotency_key", flaw)
            vote = CastVote(request.poll, request.option, request.idempotency_key, self._voter)
            begun = None if self._voter is None else self._casting.begin(vote)
        except Exception as error:  # noqa: BLE001 (told, and logged where it is a fault)
            self._refuse(request, error)
        else:
            if begun is None:
                task = asyncio.create_task(self._ask(request, vote))
                _asking.add(task)
                task.add_done_callback(_asking.discard)
            else:
                paper, acknowledgement = begun
                acknowledgement.add_done_callback(partial(self._on_acknowledged, request, paper))

    def _on_acknowledged(self, request: Vote, paper: Paper, acknowledgement: Acknowledgement) -> None:
        error = asyncio.CancelledError() if acknowledgement.cancelled() else acknowledgement.exception()
        if error is None:
            self._accept(request.ref, ballots.vote_id(paper.poll.key, paper.ballot))
        else:
            self._refuse(request, error)

    async def _ask(self, request: Vote, vote: CastVote) -> None:
        """A vote of which memory does not know enough: its poll, or whether the same was cast before."""
        try:
            if self._voter is None and (await self._casting.book.get(request.poll)).one_vote_per == "browser":
                raise StoreUnavailable
            vote_id = (await self._casting.cast(vote)).vote_id
        except Exception as error:  # noqa: BLE001 (told, and logged where it is a fault)
            self._refuse(request, error)
        else:
            self._accept(request.ref, vote_id)

    def _accept(self, ref: msgspec.Raw, vote_id: str) -> None:
        _ACCEPTED.inc()
        self._end(frames.accepted(vote_id, ref))

    def _refuse(self, request: Vote, error: BaseException) -> None:
        """Tells why a vote was not cast. What is no answer of ours is a fault of the program."""
        if isinstance(error, PollingError):
            metrics.votes_refused.labels(error.code).inc()
        else:
            log.error("a vote by socket failed", poll=request.poll, exc_info=error)
            error = InternalError()
        self._end(frames.error(error, request.ref))

    def _end(self, answer: bytes) -> None:
        self._outbox.answer_soon(answer)
        self.under_way -= 1
        if self._room is not None:
            room, self._room = self._room, None
            room.set_result(None)
        self._on_end()
