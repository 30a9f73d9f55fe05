"""Limits of rate: by address and by voter, over HTTP and sockets, and what the answers say of them."""

from __future__ import annotations

import contextlib
import re
import time

import pytest
from support.http import Answer, Client
from support.polls import Made, batch, create, vote
from support.wire import Server, last, request, say, statuses

from polling.api.door import HELD_BACK

_POLICY = re.compile(r'"([a-z]+)";q=(\d+);w=(\d+)')
_STATE = re.compile(r'"([a-z]+)";r=(\d+);t=(\d+)')


def policies(answer: Answer) -> dict[str, tuple[int, int]]:
    """Quota and window by the policy's name: RateLimit-Policy, a list of strings with parameters (RFC 9651)."""
    items = (answer.headers["RateLimit-Policy"] or "").split(", ")
    found = [_POLICY.fullmatch(item) for item in items if item]
    return {one[1]: (int(one[2]), int(one[3])) for one in found if one is not None}


def left(answer: Answer) -> dict[str, tuple[int, int]]:
    """What is left, and the seconds until all is there again, by the policy's name: RateLimit."""
    items = (answer.headers["RateLimit"] or "").split(", ")
    found = [_STATE.fullmatch(item) for item in items if item]
    return {one[1]: (int(one[2]), int(one[3])) for one in found if one is not None}


@pytest.fixture
def poll(client: Client) -> Made:
    """Made at the open door, for the guarded one counts polls too."""
    return create(client)


def test_every_answer_says_what_is_left(guarded: Server, poll: Made) -> None:
    with guarded.client(X_Forwarded_For="203.0.113.10") as client:
        for number in range(3):
            answer = vote(client, poll)
            answer.expect(202)
            assert policies(answer) == {"votes": (20, 200)}
            remaining, whole = left(answer)["votes"]
            assert remaining in (19 - number, 20 - number), "some may have come back meanwhile"
            assert 0 < whole <= 200
        refused = vote(client, poll, "nothing")
        assert (refused.status, refused.code) == (422, "unknown_option")
        assert left(refused)["votes"][0] <= 17, "a vote that is refused was asked for too"


def test_both_ways_say_the_same(guarded: Server, poll: Made) -> None:
    with guarded.wire() as wire:
        field = b"X-Forwarded-For: 203.0.113.11"
        wire.send(request(poll, b'{"option":"1"}', field) + last(request(poll, b'{"option":"1"}', field)))
        answers = wire.rest()
    assert answers.lower().count(b'\r\nratelimit-policy: "votes";q=20;w=200\r\n') == 2
    assert answers.lower().count(b'\r\nratelimit: "votes";r=1') == 2


def test_over_the_limit(guarded: Server, poll: Made) -> None:
    with guarded.client(X_Forwarded_For="203.0.113.12") as client:
        answers = [vote(client, poll) for _ in range(24)]
        assert [answer.status for answer in answers[:20]] == [202] * 20
        refused = answers[-1]
        assert (refused.status, refused.code) == (429, "rate_limited")
        assert policies(refused) == {"votes": (20, 200)}
        assert left(refused)["votes"][0] == 0
        assert 1 <= int(refused.headers["Retry-After"]) <= 10
        assert client.get(poll.path).status == 200, "reading is not limited"


def test_polls_say_it_too(guarded: Server) -> None:
    with guarded.client(X_Forwarded_For="203.0.113.13") as client:
        body = {"question": "q", "options": ["a", "b"]}
        answers = [client.post("/api/polls", body) for _ in range(5)]
        assert [answer.status for answer in answers[:3]] == [201] * 3
        assert policies(answers[0]) == {"polls": (3, 30)}
        assert answers[-1].code == "rate_limited"
        assert left(answers[-1])["polls"][0] == 0


def test_exempt_addresses_hear_nothing_of_limits(guarded: Server, server: Server, poll: Made) -> None:
    with guarded.client(X_Forwarded_For="192.0.2.1") as client:
        for _ in range(30):
            answer = vote(client, poll)
            answer.expect(202)
            assert answer.headers["RateLimit"] is None
            assert answer.headers["RateLimit-Policy"] is None
    with server.client() as client:
        assert vote(client, poll).headers["RateLimit"] is None, "loopback is exempt by default"


def test_one_browser_from_many_addresses(guarded: Server, poll: Made) -> None:
    """The limit of a voter follows the cookie, wherever it comes from; a new browser has its own."""
    with guarded.client() as client:
        cookie = vote(client, poll, X_Forwarded_For="203.0.113.20").headers["Set-Cookie"].partition(";")[0]
        answers = [vote(client, poll, Cookie=cookie, X_Forwarded_For=f"203.0.113.{21 + n}") for n in range(7)]
        assert [answer.status for answer in answers[:4]] == [202] * 4
        assert policies(answers[0]) == {"votes": (20, 200), "voter": (4, 40)}
        refused = answers[-1]
        assert (refused.status, refused.code) == (429, "rate_limited")
        assert left(refused)["voter"][0] == 0
        assert 1 <= int(refused.headers["Retry-After"]) <= 10
        assert vote(client, poll, X_Forwarded_For="203.0.113.28").status == 202


def test_a_voter_that_is_vouched_for(guarded: Server, client: Client) -> None:
    poll = create(client, one_vote_per="voter")
    other = create(client, one_vote_per="voter")
    with guarded.client() as asking:
        asked = [
            vote(asking, poll, voter="anna", **poll.admin, X_Forwarded_For=f"203.0.113.{30 + n}").status
            for n in range(6)
        ]
        assert asked[:4] == [202] * 4
        assert 429 in asked
        assert vote(asking, poll, voter="bert", **poll.admin, X_Forwarded_For="203.0.113.40").status == 202
        assert vote(asking, other, voter="anna", **other.admin, X_Forwarded_For="203.0.113.41").status == 202
        lines = [{"option": "1", "voter": "carl"}] * 8
        done = batch(asking, poll, lines, **poll.admin, X_Forwarded_For="203.0.113.42").expect(202)
        assert done["accepted"] in (4, 5)
        assert {line["code"] for line in done["rejected"]} == {"rate_limited"}


def test_a_household_has_one_allowance_in_ipv6(guarded: Server, poll: Made) -> None:
    with guarded.client() as client:
        statuses = [vote(client, poll, X_Forwarded_For=f"2001:db8:7:1::{n:x}").status for n in range(24)]
        assert 429 in statuses
        assert vote(client, poll, X_Forwarded_For="2001:db8:7:2::1").status == 202


@pytest.mark.parametrize(
    "forged",
    ["192.0.2.1, 203.0.113.{}", "192.0.2.1,nonsense,203.0.113.{}", "192.0.2.1, 203.0.113.{} ", "\t,,203.0.113.{}"],
)
def test_a_forged_address_is_not_believed(guarded: Server, poll: Made, forged: str) -> None:
    """What the client wrote before its own address, as the proxy saw it, says nothing: not that it is exempt."""
    host = 50 + len(forged) % 100
    with guarded.client() as client:
        statuses = [vote(client, poll, X_Forwarded_For=forged.format(host)).status for _ in range(24)]
    assert statuses[:20] == [202] * 20
    assert statuses[-1] == 429


def test_sockets_have_the_same_allowance(guarded: Server, poll: Made) -> None:
    """By address; and a socket has one voter."""
    field = "X-Forwarded-For: 203.0.113.60"
    with guarded.socket("", field) as wire:
        for number in range(7):
            wire.send(say(type="vote", poll=poll.id, option="1", ref=number))
        answers = {answer["ref"]: answer for answer in (wire.answer() for _ in range(7))}
    assert sum(answer["type"] == "vote" for answer in answers.values()) in (4, 5)
    assert {answer["code"] for answer in answers.values() if answer["type"] == "error"} == {"rate_limited"}
    with guarded.client(X_Forwarded_For="203.0.113.60") as client:
        assert left(vote(client, poll))["votes"][0] <= 13, "socket and HTTP take from the same bucket"


def test_many_addresses_cost_bounded_memory(guarded: Server, poll: Made) -> None:
    """Each vote comes from a network of its own; the buckets of those who were away longest are given up."""
    before = guarded.megabytes()
    with guarded.wire() as wire:
        for start in range(0, 2000, 100):
            fields = [b"X-Forwarded-For: 2001:db8:%x:%x::1" % (start, n) for n in range(100)]
            wire.got = b""
            wire.send(b"".join(request(poll, b'{"option":"none"}', field) for field in fields))
            wire.until(b"HTTP/1.1 422 ", 100)
            wire.until(b'"unknown_option"', 100)
    assert guarded.megabytes() < before + 30


def test_who_goes_on_after_a_429_is_not_read_on(guarded: Server, poll: Made) -> None:
    """A flood of votes over the limit, of the peer's own address: each connection has one refusal a second at most."""
    flood = request(poll, b'{"option":"1"}', b"Idempotency-Key: flood")
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(guarded.wire()) for _ in range(4)]
        began, before = time.monotonic(), guarded.metric("rate_limited")
        for wire in wires:
            wire.send(flood * 300)
        with guarded.client(X_Forwarded_For="192.0.2.1") as other:
            for _ in range(30):
                vote(other, poll).expect(202)
        refused, elapsed = guarded.metric("rate_limited") - before, time.monotonic() - began
    assert 1 <= refused <= 4 * (elapsed / HELD_BACK + 2)


def test_a_proxys_connection_is_not_held_back(guarded: Server, poll: Made) -> None:
    """Others come over it too: they are answered at once, whatever one of them does."""
    with guarded.wire() as wire:
        greedy = request(poll, b'{"option":"1"}', b"X-Forwarded-For: 203.0.113.70")
        other = request(poll, b'{"option":"1"}', b"X-Forwarded-For: 192.0.2.1")
        began = time.monotonic()
        wire.send((greedy + other) * 120 + last(other))
        answers = statuses(wire.rest())
        elapsed = time.monotonic() - began
    assert answers[1::2] == [202] * 120
    refused = answers.count(429)
    assert refused >= 99
    assert elapsed < refused * HELD_BACK / 2, "so no refusal held the next one back"
