"""Step 7 of 7, show: what a socket asks of the house it is in: who comes, from where, and how much is allowed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tornado.web import RequestHandler

_DEFAULT_PORTS = {"http": ":80", "https": ":443", "ws": ":80", "wss": ":443"}


@dataclass(frozen=True)
class Porter:
    """Given by the API, so that a socket has the same voters, origins and limits.

    `voter_of` reads the signed cookie (None without one, or with a forged one); it raises StoreUnavailable while the
    key that signs is not known. `new_voter` makes a voter, sets its cookie, and raises the same. `carries_cookie`
    is whether there is a valid one, or one that cannot be judged now. `limit_vote` takes one vote from an address's
    allowance and raises RateLimited. `exempt` says that an address is not limited. `headers` go with every refusal.
    """

    voter_of: Callable[[RequestHandler], str | None]
    new_voter: Callable[[RequestHandler], str]
    limit_vote: Callable[[str], None]
    exempt: Callable[[str], bool]
    allowed_origins: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def is_foreign(self, handler: RequestHandler) -> bool:
        """Whether another site's page opens this socket. Whoever sends no Origin is no browser's page."""
        origin = handler.request.headers.get("Origin")
        if origin is None or origin in self.allowed_origins:
            return False
        return not same_host(origin, handler.request.headers.get("Host", ""))


def same_host(origin: str, host: str) -> bool:
    """Whether an Origin is that of this Host. The scheme is left out: a proxy in front may speak TLS for us."""
    try:
        parts = urlsplit(origin.lower())
    except ValueError:
        return False
    port = _DEFAULT_PORTS.get(parts.scheme, "")
    return bool(parts.netloc) and parts.netloc.removesuffix(port) == host.lower().removesuffix(port)
