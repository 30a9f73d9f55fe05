"""The contract's tests: other origins (CORS), limits of rate, and proxies in front."""

from __future__ import annotations

import pytest
from support.http import Client
from support.polls import Made, batch, vote
from support.system import System

from contract.conftest import EXAMPLE


def test_an_allowed_origin_may_read(strict: Client, poll: Made) -> None:
    for answer in (
        strict.get(poll.path, Origin=EXAMPLE),
        strict.get("/nothing", Origin=EXAMPLE),
        vote(strict, poll, Origin=EXAMPLE),
        vote(strict, poll, "nothing", Origin=EXAMPLE),
        strict.request("POST", "/api/polls", body=b"x" * 70_000, headers={"Origin": EXAMPLE}),
    ):
        assert answer.headers["Access-Control-Allow-Origin"] == EXAMPLE, answer
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"
        assert answer.headers["Vary"] == "Origin"
        exposed = answer.headers["Access-Control-Expose-Headers"]
        assert {"ETag", "Location", "Retry-After"} <= set(exposed.split(", "))


def test_a_browsers_question_beforehand(strict: Client, poll: Made) -> None:
    answer = strict.request(
        "OPTIONS",
        f"{poll.path}/vote",
        headers={
            "Origin": EXAMPLE,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type,idempotency-key",
        },
    )
    assert answer.status == 204
    assert answer.headers["Access-Control-Allow-Origin"] == EXAMPLE
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    allowed = answer.headers["Access-Control-Allow-Headers"].lower()
    assert all(name in allowed for name in ("content-type", "idempotency-key", "authorization", "prefer"))


@pytest.mark.parametrize("origin", ["https://evil.example", "null", EXAMPLE + ".evil", "http://example.org", "*"])
def test_other_origins_may_not(strict: Client, poll: Made, origin: str) -> None:
    for answer in (
        strict.get(poll.path, Origin=origin),
        strict.request("OPTIONS", "/api/polls", headers={"Origin": origin}),
    ):
        assert answer.headers["Access-Control-Allow-Origin"] is None
        assert answer.headers["Vary"] == "Origin", "a cache must not mix the two up"


def test_where_none_is_allowed_none_is_named(client: Client, poll: Made) -> None:
    assert client.get(poll.path, Origin=EXAMPLE).headers["Access-Control-Allow-Origin"] is None


def test_votes_over_the_limit(strict: Client, poll: Made) -> None:
    """Three may come at once, and then one in five seconds."""
    statuses = [vote(strict, poll, X_Forwarded_For="203.0.113.1").status for _ in range(6)]
    assert statuses[:3] == [202] * 3
    answer = vote(strict, poll, X_Forwarded_For="203.0.113.1")
    assert (answer.status, answer.code) == (429, "rate_limited")
    assert 1 <= int(answer.headers["Retry-After"]) <= 5
    assert vote(strict, poll, X_Forwarded_For="203.0.113.2").status == 202, "another address has its own"


def test_a_batch_takes_as_many_as_it_has_lines(strict: Client, poll: Made) -> None:
    address = "203.0.113.3"
    assert batch(strict, poll, [{"option": "1"}] * 10, X_Forwarded_For=address).status == 202
    answer = batch(strict, poll, [{"option": "1"}], X_Forwarded_For=address)
    assert (answer.status, answer.code) == (429, "rate_limited")


def test_polls_over_the_limit(strict: Client) -> None:
    body = {"question": "q", "options": ["a", "b"]}
    statuses = [strict.post("/api/polls", body, X_Forwarded_For="203.0.113.4").status for _ in range(5)]
    assert statuses[:2] == [201, 201]
    assert 429 in statuses
    assert strict.get("/api/polls", X_Forwarded_For="203.0.113.4").status == 200, "reading is not limited"


def test_exempt_addresses_are_not_limited(strict: Client, poll: Made) -> None:
    assert {vote(strict, poll, X_Forwarded_For="192.0.2.77").status for _ in range(20)} == {202}


def test_loopback_is_exempt_by_default(client: Client, poll: Made) -> None:
    assert batch(client, poll, [{"option": "1"}] * 3000).status == 202
    assert vote(client, poll).status == 202, "an address with limits would be in debt"


def test_a_client_cannot_forge_its_address(strict: Client, poll: Made) -> None:
    """The last hop that no trusted proxy stands behind is the one that counts."""
    statuses = {vote(strict, poll, X_Forwarded_For=f"192.0.2.{n}, 203.0.113.5").status for n in range(6)}
    assert 429 in statuses


def test_where_no_proxy_is_trusted_none_is_believed(client: Client, poll: Made) -> None:
    answer = vote(client, poll, X_Forwarded_Proto="https", X_Forwarded_For="203.0.113.9")
    assert "Secure" not in answer.headers["Set-Cookie"]


def test_a_port_that_is_taken_is_named(system: System) -> None:
    taken = str(system.ports["api"])
    done = system.try_command("api", PORT=taken)
    assert done.returncode != 0
    assert taken in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
