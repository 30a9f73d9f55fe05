"""Step 1 of 7, accept: whether the page that sends a browser here is one of ours."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": ":80", "https": ":443", "ws": ":80", "wss": ":443"}


def is_foreign(origin: str | None, host: str, allowed: Collection[str]) -> bool:
    """Whether another site's page asks, by the headers Origin and Host. Who sends no Origin is no browser's page."""
    return origin is not None and origin not in allowed and not same_host(origin, host)


def same_host(origin: str, host: str) -> bool:
    """Whether an Origin is that of this Host. The scheme is left out: a proxy in front may speak TLS for us."""
    try:
        parts = urlsplit(origin.lower())
    except ValueError:
        return False
    port = _DEFAULT_PORTS.get(parts.scheme, "")
    return bool(parts.netloc) and parts.netloc.removesuffix(port) == host.lower().removesuffix(port)
