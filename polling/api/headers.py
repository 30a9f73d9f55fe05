"""Step 1 of 7, accept: the headers of every answer: security, and who may read it from another origin."""

from __future__ import annotations

import time
from collections.abc import Mapping
from http import HTTPStatus

from tornado.httputil import format_timestamp

from polling.api.answers import encode
from polling.core.errors import PollingError

_SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

API_HEADERS = {
    **_SECURITY,
    "Content-Type": "application/json; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
"""For JSON: nothing in it is ever run or shown as a page."""

PAGE_HEADERS = {
    **_SECURITY,
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-cache",
}
"""For pages: scripts and styles from files of ours alone, none inline. `no-cache`: kept, and asked for by its ETag."""

PROBLEM_TYPE = "application/problem+json; charset=utf-8"

_EXPOSED = "ETag, Location, Preference-Applied, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate"
_ASKED = "Authorization, Content-Type, Idempotency-Key, If-None-Match, Prefer"


def cors(origin: str | None, allowed: tuple[str, ...]) -> dict[str, str]:
    """The headers by which a page of another origin may read an answer (Fetch, section 3.2).

    Cookies come along only for origins that are named; `*` names none.
    """
    if not allowed:
        return {}
    if origin in allowed and origin != "*":
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Credentials": "true",
            "Access-Control-Expose-Headers": _EXPOSED,
            "Vary": "Origin",
        }
    if "*" in allowed:
        return {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": _EXPOSED}
    return {"Vary": "Origin"}


def framed_policy(origins: tuple[str, ...]) -> str:
    """The policy of a page that pages of these origins may show in a frame (CSP 3, `frame-ancestors`)."""
    policy, _, _ = PAGE_HEADERS["Content-Security-Policy"].rpartition("frame-ancestors")
    return f"{policy}frame-ancestors " + (" ".join(origins) or "'none'")


def preflight(methods: str) -> dict[str, str]:
    """What the answer to a preflight adds, where the origin is allowed."""
    return {
        "Access-Control-Allow-Methods": methods,
        "Access-Control-Allow-Headers": _ASKED,
        "Access-Control-Max-Age": "600",
    }


class Dated:
    """The lines of a head, with the date; the date is written once a second, for those who answer very often."""

    def __init__(self, lines: Mapping[str, str], status: str = "") -> None:
        self._text = status + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self._now = b""
        self._until = 0.0

    def now(self) -> bytes:
        """What stands before the lines that only one answer has."""
        now = time.time()
        if now >= self._until:
            self._until = float(int(now) + 1)
            self._now = f"{self._text}Date: {format_timestamp(now)}\r\n".encode()
        return self._now


def problem_headers(error: PollingError, length: int) -> dict[str, str]:
    """All headers of a problem document of this length, for those who answer without a handler."""
    return {
        **API_HEADERS,
        **error.headers,
        "Content-Type": PROBLEM_TYPE,
        "Content-Length": str(length),
        "Date": format_timestamp(time.time()),
    }


def problem_response(error: PollingError) -> bytes:
    """A whole HTTP/1.1 answer that tells of an error."""
    body = encode(error.problem())
    lines = "".join(f"{name}: {value}\r\n" for name, value in problem_headers(error, len(body)).items())
    return f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\n{lines}\r\n".encode() + body
