"""Token buckets, and whose address a request is counted to."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from polling.api.limits import Buckets, Limits, client_address
from polling.core.errors import RateLimited
from polling.settings import Settings

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def refused(buckets: Buckets, address: str = "a") -> int:
    with pytest.raises(RateLimited) as caught:
        buckets.take(address)
    return caught.value.retry_after


def test_a_burst_then_the_rate() -> None:
    clock = Clock()
    buckets = Buckets(2, 3, clock=clock)
    for _ in range(3):
        buckets.take("a")
    assert refused(buckets) == 1
    buckets.take("b")
    clock.now += 0.5
    buckets.take("a")
    refused(buckets)
    clock.now += 1000
    for _ in range(3):
        buckets.take("a")
    refused(buckets)


def test_a_large_batch_is_taken_on_debt() -> None:
    clock = Clock()
    buckets = Buckets(10, 20, clock=clock)
    buckets.take("a", 120)
    assert refused(buckets) == 11
    clock.now += 10.2
    buckets.take("a")


def test_a_rate_of_zero_sets_no_limit() -> None:
    buckets = Buckets(0, 0)
    for _ in range(100):
        buckets.take("a")


def test_memory_is_bounded() -> None:
    buckets = Buckets(1, 1, capacity=2, clock=Clock())
    for address in ("a", "b", "c"):
        buckets.take(address)
    refused(buckets, "c")
    buckets.take("a")


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.7, 10.1.1.1", "198.51.100.7"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7, nonsense", "10.0.0.1"),
        ("fd00::1", "2001:db8::1", "2001:db8::1"),
        ("::ffff:10.0.0.1", "198.51.100.7", "198.51.100.7"),
    ],
)
def test_only_trusted_proxies_are_believed(peer: str, forwarded: str | None, expected: str) -> None:
    assert client_address(peer, forwarded, TRUSTED) == expected


def test_what_an_address_is_counted_as(settings: Settings) -> None:
    limits = Limits(settings)
    assert limits.bucket_of("127.0.0.1") is None
    assert limits.bucket_of("::1") is None
    assert limits.bucket_of("192.0.2.1") == "192.0.2.1"
    assert limits.bucket_of("2001:db8::1") == limits.bucket_of("2001:db8::ffff") == "2001:db8::/64"
    assert limits.bucket_of("2001:db8:0:1::1") != limits.bucket_of("2001:db8::1")
