"""Step 7 of 7, show: one WebSocket: what comes in over it, and what is answered."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable

import msgspec
from tornado.iostream import IOStream

from polling import telemetry
from polling.casting import Casting
from polling.core.errors import (
    BadRequest,
    PollingError,
    PollNotFound,
    RateLimited,
    UnsupportedMediaType,
    ValidationError,
)
from polling.core.sight import NOTHING, Claim
from polling.telemetry import metrics
from websocket import close_codes, frames, requests
from websocket.allowance import PAUSE, Allowance
from websocket.close_codes import CloseCode
from websocket.handshake import Handshake
from websocket.hub import Hub
from websocket.outbox import Outbox
from websocket.porter import Porter
from websocket.viewer import Viewer
from websocket.voting import Voting

log = telemetry.logger(__name__)

MAX_SUBSCRIPTIONS = 1_000
MAX_POLL_ID = 64

SEND_BUFFER = 64 * 1024
"""Bytes in the kernel for what a socket has not read yet (Linux doubles it). What lies there can't be replaced by
anything newer, so it had better be little; the kernel's own choice may grow to megabytes."""


class LiveSocket(Handshake):
    """At `/` for requests that ask to be upgraded. One bad frame gets an error, and the socket stays."""

    def initialize(self, hub: Hub, casting: Casting, porter: Porter) -> None:
        self.hub = hub
        self.casting = casting
        self.porter = porter
        self._closing: CloseCode | None = None
        self._opened = False

    def open(self, *_args: str, **_kwargs: str) -> None:
        """Welcomes, and shows the leaderboard, and the polls that the address names."""
        assert self.ws_connection is not None
        stream = self.ws_connection.stream
        assert isinstance(stream, IOStream)
        if stream.closed():
            # It came and went; the loop that reads frames finds out, and `on_close` follows.
            return
        stream.set_nodelay(True)
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        loop = asyncio.get_running_loop()
        self._outbox = Outbox(stream, loop.time, lambda: self._close_with(close_codes.SLOW_READER))
        self._viewer = Viewer(self._outbox, self._close_with)
        self._voting = Voting(self.casting, self._outbox, self.voter, self._limit_vote, self._on_vote_ended)
        self._exempt = self.porter.exempt(self.request.remote_ip or "")
        self._allowance = Allowance(loop.time)
        self._opened = True
        turned_away = self.hub.full()
        if turned_away:
            self._close_with(turned_away)
            return
        self._outbox.answer(frames.welcome(MAX_SUBSCRIPTIONS))
        self.hub.enter(self._viewer)
        for poll_id in self.request.query_arguments.get("poll", []):
            self._subscribe(poll_id.decode(errors="replace"))
        self.forget_handshake()

    def on_message(self, message: str | bytes) -> Awaitable[None] | None:
        """Answers a frame. What it returns ends when the next one may be read."""
        if self._closing is not None or not self._opened:
            return None
        if not self._exempt and not self._allowance.take():
            return self._hold_back(message)
        if isinstance(message, bytes):
            self._outbox.answer(frames.error(UnsupportedMediaType("text frames that hold JSON")))
        else:
            try:
                self._do(requests.read(message))
            except requests.BadFrame as bad:
                self._outbox.answer(frames.error(bad.error, bad.ref))
        if self._outbox.behind or self._voting.full:
            return self._take_breath()
        return None

    def on_malformed_text(self) -> Awaitable[None] | None:
        """A text frame that is not UTF-8."""
        if self._closing is not None or not self._opened:
            return None
        if not self._exempt and not self._allowance.take():
            return self._hold_back(b"")
        self._outbox.answer(frames.error(BadRequest("The frame is not valid JSON in UTF-8.")))
        return self._take_breath() if self._outbox.behind else None

    def on_other_frame(self) -> Awaitable[None] | None:
        """A ping, a pong, or a part of a message: nothing to do, but it may not be sent without end either."""
        if self._closing is not None or not self._opened or self._exempt or self._allowance.take():
            return None
        metrics.rate_limited.inc()
        return asyncio.sleep(PAUSE)

    def on_frame_written(self) -> None:
        """Tornado has written a frame of its own."""
        if self._opened:
            self._outbox.look()

    def on_pong(self, data: bytes) -> None:
        self._viewer.unanswered = False

    def on_close(self) -> None:
        if self._opened:
            self._outbox.close()
            self.hub.leave(self._viewer)

    def _do(self, request: requests.Request) -> None:
        match request:
            case requests.Vote():
                self._voting.cast(request)
            case requests.Subscribe(poll=str(poll_id)):
                claim = Claim(request.vote or None, request.admin_token or None)
                self._subscribe(poll_id, claim, count=request.viewers is True)
            case requests.Subscribe():
                self.hub.follow_leaderboard(self._viewer)
            case requests.Unsubscribe(poll=str(poll_id)):
                self.hub.unsubscribe(self._viewer, poll_id)
                self._outbox.answer(frames.unsubscribed(poll_id))
            case requests.Unsubscribe():
                self.hub.unfollow_leaderboard(self._viewer)
                self._outbox.answer(frames.unsubscribed(None))
            case requests.Ping():
                self._outbox.answer(frames.PONG)

    def _subscribe(self, poll_id: str, claim: Claim = NOTHING, *, count: bool = False) -> None:
        error: PollingError | None = None
        if len(poll_id) > MAX_POLL_ID:
            error = PollNotFound()
        elif len(self._viewer.polls) >= MAX_SUBSCRIPTIONS and poll_id not in self._viewer.polls:
            error = ValidationError.at("#/poll", f"A socket may watch {MAX_SUBSCRIPTIONS:,} polls at most.")
        if error is not None:
            self._outbox.answer(frames.error(error, poll_id=poll_id))
        else:
            self.hub.subscribe(self._viewer, poll_id, claim, count=count)

    def _limit_vote(self, voter: str | None) -> None:
        self.porter.limit_vote(self.request.remote_ip or "", voter)

    def _on_vote_ended(self) -> None:
        if self._closing is not None and not self._voting.under_way:
            self._shut(self._closing)

    async def _take_breath(self) -> None:
        """Lets the network hold the peer back while its answers are not read, or its votes not acknowledged."""
        await self._outbox.drained()
        await self._voting.room()

    async def _hold_back(self, message: str | bytes) -> None:
        ref: msgspec.Raw | None = requests.ref_of(message) if isinstance(message, str) else None
        metrics.rate_limited.inc()
        self._outbox.answer(frames.error(RateLimited(int(PAUSE)), ref))
        await asyncio.sleep(PAUSE)

    def _close_with(self, why: CloseCode) -> None:
        """Closes: at once, or where the server restarts after the votes under way are answered."""
        if self._closing is not None:
            return
        self._closing = why
        if why is not close_codes.RESTART or not self._voting.under_way:
            self._shut(why)

    def _shut(self, why: CloseCode) -> None:
        self._outbox.flush()
        self._outbox.close()
        self.hub.leave(self._viewer)
        self.close(why.code, why.text(self.hub.come_back_after()))
