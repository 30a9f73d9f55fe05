"""Step 1 of 7, accept: the browser's voter: a random name in a signed cookie, which nobody else can make."""

from __future__ import annotations

import secrets

import tornado.web

from polling.core.errors import StoreUnavailable

COOKIE = "voter"
DAYS = 400
"""How long a browser keeps it; longer is cut off by browsers themselves."""


def voter_of(handler: tornado.web.RequestHandler) -> str | None:
    """The voter that this request's cookie names; a forged or too old cookie is as none.

    Raises:
        StoreUnavailable: there is a cookie, but the key that signs is not known yet.
    """
    if handler.get_cookie(COOKIE) is None:
        return None
    require_key(handler)
    value = handler.get_signed_cookie(COOKIE, max_age_days=DAYS)
    return value.decode() if value else None


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


def key_known(handler: tornado.web.RequestHandler) -> bool:
    """Whether cookies can be signed and read now."""
    return bool(handler.application.settings.get("cookie_secret"))


def require_key(handler: tornado.web.RequestHandler) -> None:
    """Raises StoreUnavailable while the key that signs has not been read from PostgreSQL."""
    if not key_known(handler):
        raise StoreUnavailable
