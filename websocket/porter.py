"""Step 7 of 7, show: what a socket asks of the house it is in: who comes, from where, and how much is allowed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tornado.web import RequestHandler

from polling.core.origins import is_foreign


@dataclass(frozen=True)
class Porter:
    """Given by the API, so that a socket has the same voters, origins and limits.

    `voter_of` reads the signed cookie (None without one, or with a forged one); it raises StoreUnavailable while the
    key that signs is not known. `new_voter` makes a voter, sets its cookie, and raises the same. `carries_cookie`
    is whether there is a valid one, or one that cannot be judged now. `limit_vote` takes one vote from the
    allowances of an address and of a voter, and raises RateLimited. `exempt` says that an address is not limited.
    `headers` go with every refusal.
    """

    voter_of: Callable[[RequestHandler], str | None]
    new_voter: Callable[[RequestHandler], str]
    limit_vote: Callable[[str, str | None], None]
    exempt: Callable[[str], bool]
    allowed_origins: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def is_foreign(self, handler: RequestHandler) -> bool:
        """Whether another site's page opens this socket. Whoever sends no Origin is no browser's page."""
        headers = handler.request.headers
        return is_foreign(headers.get("Origin"), headers.get("Host", ""), self.allowed_origins)
