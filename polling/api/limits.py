"""Step 1 of 7, accept: who asks, and how much one address, or one voter, may ask for.

Token buckets in the memory of each process: with N processes an address may have up to N times the rate.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from polling.core.errors import RateLimited
from polling.settings import Network, Settings

CAPACITY = 50_000
"""Callers kept for each limit; who was away longest is forgotten, which gives back a full bucket."""


class Taken(NamedTuple):
    """What a bucket says of itself, as the items of `RateLimit-Policy` and `RateLimit`
    (draft-ietf-httpapi-ratelimit-headers-10): the quota and the seconds in which it is all there again; what is left
    of it, and the seconds until that is whole.
    """

    policy: str
    state: str

    @property
    def headers(self) -> dict[str, str]:
        return {"RateLimit-Policy": self.policy, "RateLimit": self.state}


class Buckets:
    """One token bucket a caller: `rate` tokens a second, `burst` saved at most. A rate of 0 sets no limit."""

    def __init__(
        self,
        rate: float,
        burst: float,
        capacity: int = CAPACITY,
        clock: Callable[[], float] = time.monotonic,
        name: str = "requests",
    ) -> None:
        self._rate, self._burst, self._capacity, self._clock = rate, max(burst, 1.0), capacity, clock
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._name = name
        self._policy = f'"{name}";q={int(self._burst)};w={math.ceil(self._burst / rate)}' if rate > 0 else ""

    def __len__(self) -> int:
        return len(self._levels)

    def take(self, caller: str, tokens: int = 1) -> Taken | None:
        """Takes tokens. What is more than the bucket holds is taken on debt, so that a large batch is possible.

        None where there is no limit.

        Raises:
            RateLimited: there is not one whole token; says in how many seconds there is.
        """
        if self._rate <= 0:
            return None
        now = self._clock()
        level, then = self._levels.get(caller, (self._burst, now))
        level = min(self._burst, level + (now - then) * self._rate)
        allowed = level >= 1.0
        if allowed:
            level -= tokens
        self._levels[caller] = (level, now)
        self._levels.move_to_end(caller)
        if len(self._levels) > self._capacity:
            self._levels.popitem(last=False)
        whole = math.ceil((self._burst - level) / self._rate)
        taken = Taken(self._policy, f'"{self._name}";r={max(0, int(level))};t={whole}')
        if not allowed:
            raise RateLimited(math.ceil((1.0 - level) / self._rate), taken.headers)
        return taken


class Limits:
    """The limits of this process: `votes` and `voters` count votes, by address and by voter; `polls` polls made."""

    def __init__(self, settings: Settings) -> None:
        self.votes = Buckets(*settings.rate_limit_votes, name="votes")
        self.voters = Buckets(*settings.rate_limit_voter, name="voter")
        self.polls = Buckets(*settings.rate_limit_polls, name="polls")
        self._trusted = settings.trusted_proxies
        self._exempt = settings.rate_limit_exempt
        self.bucket_of: Callable[[str], str | None] = lru_cache(10_000)(self._bucket_of)

    def take(self, buckets: Buckets, address: str, tokens: int = 1) -> Taken | None:
        """Takes tokens for an address, unless it is exempt: then None. Raises RateLimited."""
        caller = self.bucket_of(address)
        return None if caller is None else buckets.take(caller, tokens)

    def take_of_voter(self, address: str, voter: str) -> Taken | None:
        """Takes one vote of a voter, who is not limited where the address is exempt. Raises RateLimited."""
        return None if self.bucket_of(address) is None else self.voters.take(voter)

    def client(self, peer: str, forwarded_for: str | None, forwarded_proto: str | None) -> tuple[str, bool]:
        """Who asks, and whether by TLS: as the peer says, where it is a trusted proxy. No TLS ends in this process."""
        if not self._trusted or not is_one_of(peer, self._trusted):
            return peer, False
        scheme = (forwarded_proto or "").rpartition(",")[2].strip()
        return client_address(peer, forwarded_for, self._trusted), scheme == "https"

    def _bucket_of(self, address: str) -> str | None:
        """What an address is counted as: itself, or its /64 in IPv6, which one household has. None: exempt."""
        parsed = _parse(address)
        if parsed is None:
            return address
        if is_one_of(address, self._exempt):
            return None
        if parsed.version == 6:
            return str(ipaddress.ip_network((parsed, 64), strict=False))
        return str(parsed)


def is_one_of(address: str, networks: tuple[Network, ...]) -> bool:
    """Whether an address lies in one of these networks."""
    parsed = _parse(address)
    return parsed is not None and any(parsed in network for network in networks)


def client_address(peer: str, forwarded_for: str | None, trusted: tuple[Network, ...]) -> str:
    """The address that asks: the peer, or where that is a trusted proxy the last one it forwards for that is none."""
    address = peer
    for hop in reversed((forwarded_for or "").split(",")):
        if not is_one_of(address, trusted) or _parse(hop.strip()) is None:
            break
        address = hop.strip()
    return address


def _parse(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed
