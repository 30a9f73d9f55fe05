"""Step 1 of 7, accept: who asks, and how much one address may ask for.

Token buckets in the memory of each process: with N processes an address may have up to N times the rate.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache

from polling.core.errors import RateLimited
from polling.settings import Network, Settings

CAPACITY = 50_000
"""Addresses kept for each limit; who was away longest is forgotten, which gives back a full bucket."""


class Buckets:
    """One token bucket an address: `rate` tokens a second, `burst` saved at most. A rate of 0 sets no limit."""

    def __init__(
        self, rate: float, burst: float, capacity: int = CAPACITY, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate, self._burst, self._capacity, self._clock = rate, max(burst, 1.0), capacity, clock
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str, tokens: int = 1) -> None:
        """Takes tokens. What is more than the bucket holds is taken on debt, so that a large batch is possible.

        Raises:
            RateLimited: there is not one whole token; says in how many seconds there is.
        """
        if self._rate <= 0:
            return
        now = self._clock()
        level, then = self._levels.get(address, (self._burst, now))
        level = min(self._burst, level + (now - then) * self._rate)
        allowed = level >= 1.0
        self._levels[address] = (level - tokens if allowed else level, now)
        self._levels.move_to_end(address)
        if len(self._levels) > self._capacity:
            self._levels.popitem(last=False)
        if not allowed:
            raise RateLimited(math.ceil((1.0 - level) / self._rate))


class Limits:
    """The limits of this process: `votes` counts votes, `polls` counts polls made."""

    def __init__(self, settings: Settings) -> None:
        self.votes = Buckets(*settings.rate_limit_votes)
        self.polls = Buckets(*settings.rate_limit_polls)
        self._trusted = settings.trusted_proxies
        self._exempt = settings.rate_limit_exempt
        self.bucket_of: Callable[[str], str | None] = lru_cache(10_000)(self._bucket_of)

    def take(self, buckets: Buckets, address: str, tokens: int = 1) -> None:
        """Takes tokens for an address, unless it is exempt. Raises RateLimited."""
        name = self.bucket_of(address)
        if name is not None:
            buckets.take(name, tokens)

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
