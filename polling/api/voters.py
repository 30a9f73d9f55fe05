"""Step 1 of 7, accept: the browser's voter: a random name in a signed cookie, which nobody else can make."""

from __future__ import annotations

import base64
import hmac
import secrets
import time
from email.utils import formatdate

import tornado.web
from tornado.httputil import parse_cookie

from polling.core.errors import StoreUnavailable

COOKIE = "voter"
DAYS = 400
"""How long a browser keeps it; longer is cut off by browsers themselves."""


def voter_of(handler: tornado.web.RequestHandler) -> str | None:
    """The voter that this request's cookie names; a forged or too old cookie is as none.

    Raises:
        StoreUnavailable: there is a cookie, but the key that signs is not known yet.
    """
    header = handler.request.headers.get("Cookie", "")
    return voter_in(header, require_key(handler)) if f"{COOKIE}=" in header else None


def voter_in(header: str, key: str) -> str | None:
    """The voter that a `Cookie` header names, or None."""
    value = parse_cookie(header).get(COOKIE)
    decoded = tornado.web.decode_signed_value(key, COOKIE, value, max_age_days=DAYS) if value else None
    return decoded.decode() if decoded else None


def new_voter() -> str:
    """A voter: 128 random bits."""
    return secrets.token_urlsafe(16)


def set_voter_cookie(handler: tornado.web.RequestHandler, voter: str) -> None:
    """Has the browser keep this voter. Raises StoreUnavailable where the key that signs is not known yet."""
    require_key(handler)
    handler.set_signed_cookie(
        COOKIE,
        voter,
        expires_days=DAYS,
        httponly=True,
        samesite="Lax",
        secure=handler.request.protocol == "https",
    )


def signed_cookie(voter: str, key: str, secure: bool) -> str:
    """The same as a `Set-Cookie` header, for the fast lane: Tornado and `http.cookies` need ten times as long."""
    now = int(time.time())
    value = base64.b64encode(voter.encode()).decode()
    signed = f"2|1:0|{len(str(now))}:{now}|{len(COOKIE)}:{COOKIE}|{len(value)}:{value}|"
    signature = hmac.digest(key.encode(), signed.encode(), "sha256").hex()
    end = "; Secure" if secure else ""
    return f'{COOKIE}="{signed}{signature}"; expires={_expiry(now)}; HttpOnly; Path=/; SameSite=Lax{end}'


def key_known(handler: tornado.web.RequestHandler) -> bool:
    """Whether cookies can be signed and read now."""
    return bool(handler.application.settings.get("cookie_secret"))


def require_key(handler: tornado.web.RequestHandler) -> str:
    """The key that signs. Raises StoreUnavailable while it has not been read from PostgreSQL."""
    key: str | None = handler.application.settings.get("cookie_secret")
    if not key:
        raise StoreUnavailable
    return key


_expiry_known: tuple[int, str] = (0, "")


def _expiry(now: int) -> str:
    """The day of expiry as an HTTP date, made once an hour."""
    global _expiry_known
    hour = now // 3600
    if _expiry_known[0] != hour:
        _expiry_known = (hour, formatdate((hour * 3600) + DAYS * 86_400, usegmt=True))
    return _expiry_known[1]
