"""Step 1 of 7, accept: what all handlers share: headers, problem documents, who asks, and with which token."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

import tornado.web

from polling import telemetry
from polling.api import headers
from polling.api.answers import encode
from polling.api.body import JsonBody, T, require_media_type
from polling.api.limits import Buckets, Taken
from polling.api.services import Services
from polling.core.errors import (
    BadRequest,
    InternalError,
    MethodNotAllowed,
    NotFound,
    PollingError,
    RateLimited,
    TokenMissing,
    TokenWrong,
    UnsupportedMediaType,
    ValidationError,
)
from polling.core.polls import Poll

log = telemetry.logger(__name__)

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Handler(tornado.web.RequestHandler):
    """Answers JSON, and every error as a problem document (RFC 9457), Tornado's own too."""

    SUPPORTED_METHODS = METHODS
    HEADERS = headers.API_HEADERS
    services: Services
    refused: PollingError | None = None
    _limits: Mapping[str, str] = {}

    def initialize(self, services: Services) -> None:
        self.services = services
        services.under_way.add(self)

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        for name, value in self.HEADERS.items():
            self.set_header(name, value)
        services: Services = self.application.settings["services"]
        origin = self.request.headers.get("Origin")
        for name, value in headers.cors(origin, services.settings.allowed_origins).items():
            self.set_header(name, value)
        if services.draining:
            self.set_header("Connection", "close")

    def on_finish(self) -> None:
        self.services.under_way.discard(self)

    def on_connection_close(self) -> None:
        self.services.under_way.discard(self)

    def compute_etag(self) -> str | None:
        return None

    def check_etag_header(self) -> bool:
        """Never by itself: whether a poll is unchanged is not a matter of its ETag alone."""
        return False

    def answer(self, status: int, value: Any, **more: str) -> None:
        """Ends with this body as JSON. `more` are headers, `_` for `-`."""
        self.set_status(status)
        for name, text in more.items():
            self.set_header(name.replace("_", "-"), text)
        self.finish(encode(value))

    def read_body(self, body: JsonBody[T]) -> T:
        """The body as its type. Raises BadRequest, UnsupportedMediaType, ValidationError."""
        self.require_body("application/json")
        return body.read(self.request.body)

    def require_body(self, media_type: str) -> None:
        """Raises BadRequest where there is no body, UnsupportedMediaType where it is not of this type."""
        if not self.request.body:
            raise BadRequest("The body is empty.")
        if self.request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise UnsupportedMediaType(f"{media_type} without a Content-Encoding")
        require_media_type(self.request.headers.get("Content-Type"), media_type)

    def limit(self, buckets: Buckets, tokens: int = 1) -> None:
        """Raises RateLimited where this address asks too often. Every answer says how much it may still ask for."""
        self._told(self.services.limits.take(buckets, self.address, tokens))

    def limit_voter(self, voter: str) -> None:
        """Raises RateLimited where this voter votes too often."""
        self._told(self.services.limits.take_of_voter(self.address, voter))

    def _told(self, taken: Taken | None) -> None:
        if taken is not None:
            self._limits = {**self._limits, taken.policy: taken.state}
            for name, value in self._limit_headers().items():
                self.set_header(name, value)

    def _limit_headers(self) -> dict[str, str]:
        """A policy for each limit that was asked for, and how it stands."""
        return Taken(", ".join(self._limits), ", ".join(self._limits.values())).headers if self._limits else {}

    @property
    def address(self) -> str:
        """Who asks: the peer, or whom a trusted proxy names."""
        return self.request.remote_ip or ""

    def require_admin(self, poll: Poll) -> None:
        """Raises TokenMissing or TokenWrong where the request does not carry the poll's admin token."""
        token = self.bearer
        if token is None:
            raise TokenMissing
        if not poll.admits(token):
            raise TokenWrong

    @property
    def bearer(self) -> str | None:
        """The token that the request carries (RFC 6750, section 2.1)."""
        scheme, _, token = self.request.headers.get("Authorization", "").partition(" ")
        return token.strip() or None if scheme.lower() == "bearer" else None

    def whole_number(self, name: str, low: int, high: int, default: int) -> int:
        """A number from the query. Raises ValidationError where it is none, or out of bounds."""
        text = self.get_query_argument(name, None)
        if text is None:
            return default
        if text.isascii() and text.isdecimal() and len(text) < 10 and low <= int(text) <= high:
            return int(text)
        raise ValidationError.at(f"#/{name}", f"`{name}` is a whole number from {low} to {high}.")

    async def head(self, *path: str) -> None:
        """As GET; Tornado leaves out the body."""
        if "GET" not in self.allowed().split(", "):
            raise MethodNotAllowed(self.allowed())
        answered = self.get(*path)
        if answered is not None:
            await answered

    async def options(self, *_path: str) -> None:
        """Says what may be asked here, to a browser's preflight too."""
        self.set_status(204)
        self.clear_header("Content-Type")
        self.set_header("Allow", self.allowed())
        if "Access-Control-Allow-Origin" in self._headers:
            for name, value in headers.preflight(self.allowed()).items():
                self.set_header(name, value)
        self.finish()

    @classmethod
    def allowed(cls) -> str:
        """The methods of this address, as `Allow` lists them."""
        own = [m for m in METHODS if getattr(cls, m.lower()) is not getattr(tornado.web.RequestHandler, m.lower())]
        return ", ".join(m for m in own if m != "HEAD" or "GET" in own)

    def decode_argument(self, value: bytes, name: str | None = None) -> str:
        try:
            return value.decode()
        except UnicodeDecodeError:
            if name is None:
                raise NotFound from None
            raise ValidationError.at(f"#/{name}", f"`{name}` is not UTF-8.") from None

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if not isinstance(value, PollingError | tornado.web.HTTPError):
            log.error("a request failed", path=self.request.path, exc_info=(typ, value, tb))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = self.refused = self._problem(status_code, kwargs.get("exc_info", (None, None, None))[1])
        self.set_status(error.status)
        for name, value in headers.API_HEADERS.items():
            self.set_header(name, value)
        self.set_header("Content-Type", headers.PROBLEM_TYPE)
        for name, value in {**self._limit_headers(), **error.headers}.items():
            self.set_header(name, value)
        if isinstance(error, RateLimited):
            context = getattr(self.request.connection, "context", None)
            # A proxy's connection is that of others too.
            if context is not None and context.remote_ip == self.request.remote_ip:
                context.hold_back = True
        self.finish(encode(error.problem()))

    def _problem(self, status: int, error: BaseException | None) -> PollingError:
        if isinstance(error, PollingError):
            return error
        if status == 405:
            return MethodNotAllowed(self.allowed())
        if status in (403, 404):
            return NotFound()
        if status == 400:
            # Tornado's only one here: a form that it could not parse. No address of ours takes forms.
            return UnsupportedMediaType("application/json")
        return InternalError()


class NoSuchAddress(Handler):
    """Everything that no route names."""

    def prepare(self) -> None:
        raise NotFound
