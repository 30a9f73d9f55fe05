"""Step 7 of 7, show: who may open a socket, and whose votes it carries."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from types import TracebackType
from typing import Any

import msgspec
from tornado.httputil import HTTPHeaders
from tornado.websocket import WebSocketHandler, WebSocketProtocol

from polling import telemetry
from polling.core.errors import InternalError, MethodNotAllowed, OriginForbidden, PollingError, StoreUnavailable
from polling.core.polls import MAX_FRAME
from websocket.porter import Porter
from websocket.protocol import Protocol13

log = telemetry.logger(__name__)


class BadHandshake(PollingError):
    """A header that RFC 6455 asks for is missing or wrong."""

    status, code, title = 400, "validation_error", "Bad WebSocket handshake"
    sentence = "This is no WebSocket handshake: it needs Connection: Upgrade, Sec-WebSocket-Key and -Version."


class WrongVersion(BadHandshake):
    status, title = 426, "Unknown WebSocket version"
    sentence = "This server speaks version 13 of the WebSocket protocol (RFC 6455)."

    @property
    def headers(self) -> dict[str, str]:
        return {"Sec-WebSocket-Version": "13", "Upgrade": "websocket", "Connection": "Upgrade"}


class Handshake(WebSocketHandler):
    """Refuses by problem documents, as the HTTP side does, and knows the voter from the cookie.

    `voter` is None only where a cookie can be neither read nor made, because the key that signs is not known yet.
    """

    porter: Porter
    voter: str | None = None

    def prepare(self) -> None:
        """Raises what the handshake is refused with."""
        headers = self.request.headers
        upgrades = [word.strip().lower() for word in headers.get("Connection", "").split(",")]
        if self.request.method == "GET":
            if "upgrade" not in upgrades or not headers.get("Sec-WebSocket-Key"):
                raise BadHandshake
            if headers.get("Sec-WebSocket-Version") != "13":
                raise WrongVersion
        self._know_voter()

    def _know_voter(self) -> None:
        try:
            self.voter = self.porter.voter_of(self)
            carries_cookie = self.voter is not None
        except StoreUnavailable:
            # There is a cookie, and nobody can say whether it is forged: it gets no benefit of the doubt.
            carries_cookie = True
        if carries_cookie:
            if self.porter.is_foreign(self):
                raise OriginForbidden
            return
        try:
            self.voter = self.porter.new_voter(self)
        except StoreUnavailable:
            self.voter = None

    def forget_handshake(self) -> None:
        """Lets go of what nobody asks for once a socket is open: headers and cookies of both sides, some kilobytes."""
        self._headers = HTTPHeaders()
        self.request.headers = HTTPHeaders()
        vars(self).pop("_new_cookie", None)
        vars(self.request).pop("_cookies", None)

    def check_origin(self, origin: str) -> bool:
        # Judged in `prepare`, where the cookie is known and the refusal is a problem document.
        return True

    def _check_cross_origin(self, check: Callable[[str], bool]) -> str | None:
        # Tornado's own judgement of the headers, before it asks `check_origin`; a malformed Origin makes it raise.
        return None

    def get_websocket_protocol(self) -> WebSocketProtocol | None:
        ordinary = super().get_websocket_protocol()
        return ordinary and Protocol13(self, False, ordinary.params)  # type: ignore[attr-defined]

    @property
    def ping_interval(self) -> float | None:
        # `care` pings all sockets by one timer.
        return 0

    @property
    def max_message_size(self) -> int:
        return MAX_FRAME

    def get_compression_options(self) -> dict[str, Any] | None:
        # Each socket would cost 300 kB for its window, and one frame could no longer be built for all.
        return None

    def set_default_headers(self) -> None:
        self.clear_header("Server")

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answers with the problem document of what was raised."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        if not isinstance(error, PollingError):
            error = MethodNotAllowed("GET") if status_code == HTTPStatus.METHOD_NOT_ALLOWED else InternalError()
        self.set_status(error.status)
        for name, value in {**self.porter.headers, **error.headers}.items():
            self.set_header(name, value)
        self.set_header("Content-Type", "application/problem+json; charset=utf-8")
        self.finish(msgspec.json.encode(error.problem()))

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if not isinstance(value, PollingError):
            log.error("a socket failed", exc_info=(typ, value, tb))
