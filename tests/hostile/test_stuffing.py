"""Ballot stuffing: what "one vote per browser" and "one vote per voter" stop, and what they are not for."""

from __future__ import annotations

import base64
import threading
import time

import pytest
from support.http import Answer, Client
from support.polls import Made, counted, create, final, vote
from support.wire import Server, request, say, statuses

TOGETHER = 12


@pytest.fixture(params=[True, False], ids=["may change", "first counts"])
def poll(request: pytest.FixtureRequest, client: Client) -> Made:
    """One vote per browser, with and without change."""
    return create(client, one_vote_per="browser", allow_change=request.param)


def test_a_copied_cookie_is_the_same_browser(client: Client, browser: Client, another: Client, poll: Made) -> None:
    """From other connections, other addresses, other programs, any number of times."""
    first = vote(browser, poll, "1").expect(202)["vote_id"]
    another.cookie = browser.cookie
    again = [
        vote(one, poll, "1", **cookie) for one in (browser, another) for cookie in ({}, {"X_Forwarded_For": "1.1.1.1"})
    ]
    again += [vote(client, poll, "1", Cookie=str(browser.cookie), Idempotency_Key=f"k{n}") for n in range(3)]
    assert {answer.expect(202)["vote_id"] for answer in again} == {first}
    counted(client, poll, 1, 0)


def test_a_replayed_request_is_the_same_vote(server: Server, client: Client, browser: Client, poll: Made) -> None:
    """The very bytes of a vote, taken from the wire and sent again and again."""
    vote(browser, poll, "1").expect(202)
    data = request(poll, b'{"option":"1"}', b"Cookie: " + str(browser.cookie).encode())
    for _ in range(3):
        with server.wire() as wire:
            wire.send(data * 10)
            wire.until(b'"vote_id"', 10)
            assert set(statuses(wire.got)) == {202}
    counted(client, poll, 1, 0)


def test_first_votes_at_the_same_moment(client: Client, browser: Client, server: Server, poll: Made) -> None:
    """A browser votes for both options at once over many connections: one counts, and it is one that was accepted."""
    browser.get("/")
    answers: list[Answer] = []

    def one(option: str) -> None:
        with server.client() as own:
            barrier.wait()
            answers.append(vote(own, poll, option, Cookie=str(browser.cookie)))

    barrier = threading.Barrier(TOGETHER)
    threads = [threading.Thread(target=one, args=(str(1 + number % 2),)) for number in range(TOGETHER)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status for answer in answers} <= {202, 409}
    assert len({answer.json["vote_id"] for answer in answers}) == 1
    assert _settled(client, poll)["total_votes"] == 1


def test_a_socket_and_http_are_one_browser(server: Server, client: Client, browser: Client, poll: Made) -> None:
    first = vote(browser, poll, "1").expect(202)["vote_id"]
    for _ in range(2):
        with server.socket("", f"Cookie: {browser.cookie}") as wire:
            wire.send(say(type="vote", poll=poll.id, option="1"))
            assert wire.answer()["vote_id"] == first
    with server.socket() as wire:
        wire.send(b"".join(say(type="vote", poll=poll.id, option="1", ref=n) for n in range(5)))
        assert len({wire.answer()["vote_id"] for _ in range(5)}) == 1, "a socket without a cookie is one voter too"
    counted(client, poll, 2, 0)


FORGERIES = {
    "made up": lambda cookie: "voter=abc",
    "unsigned": lambda cookie: "voter=" + base64.b64encode(b"somebody").decode(),
    "another voter": lambda cookie: cookie.replace(
        _part(cookie, 4), base64.b64encode(b"0123456789012345678901").decode()
    ),
    "another name": lambda cookie: cookie.replace("5:voter", "5:admin"),
    "a later time": lambda cookie: cookie.replace(_part(cookie, 2), str(int(time.time()) + 10_000_000)),
    "a shorter signature": lambda cookie: cookie[:-10] + '"',
    "no signature": lambda cookie: cookie[: cookie.rindex("|") + 1] + '"',
    "version 1": lambda cookie: "voter=c29tZWJvZHk=|1700000000|0123456789abcdef0123456789abcdef01234567",
    "two of them": lambda cookie: f"voter=abc; x=y; {cookie}x",
}


def _part(cookie: str, number: int) -> str:
    return cookie.split("|")[number].partition(":")[2]


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_cookie_is_as_none(client: Client, browser: Client, name: str) -> None:
    """It is a new browser's vote, and never another voter's."""
    poll = create(client, one_vote_per="browser", allow_change=False)
    first = vote(browser, poll, "1").expect(202)["vote_id"]
    forged = FORGERIES[name](str(browser.cookie))
    answer = vote(client, poll, "2", Cookie=forged)
    assert answer.expect(202)["vote_id"] != first
    assert answer.headers["Set-Cookie"].startswith("voter=")
    counted(client, poll, 1, 1)


def test_who_clears_his_cookies_is_a_new_browser(client: Client, browser: Client, poll: Made) -> None:
    """What this policy does not stop, as SECURITY.md says."""
    for _ in range(3):
        browser.cookie = None
        vote(browser, poll, "1").expect(202)
    counted(client, poll, 3, 0)


def test_a_voter_cannot_vouch_for_himself(client: Client, browser: Client) -> None:
    poll, other = create(client, one_vote_per="voter", allow_change=False), create(client, one_vote_per="voter")
    for headers, code in (
        ({}, "token_missing"),
        ({"Authorization": "Bearer guessed"}, "token_wrong"),
        (other.admin, "token_wrong"),
        ({"Authorization": "Basic " + poll.token}, "token_missing"),
    ):
        assert vote(browser, poll, "1", voter="anna", **headers).code == code
    for name in ("anna", "anna", "anna"):
        vote(client, poll, "1", voter=name, **poll.admin).expect(202)
    assert vote(client, poll, "2", voter="anna", **poll.admin).code == "already_voted"
    vote(client, poll, "2", voter="Anna", **poll.admin).expect(202)
    counted(client, poll, 1, 1)


def test_a_vote_id_lets_nobody_vote(client: Client, browser: Client, another: Client, poll: Made) -> None:
    """It is public, as is the poll's page: neither it nor a key names another one's ballot."""
    first = vote(browser, poll, "1").expect(202)["vote_id"]
    for headers in ({"Idempotency_Key": first}, {"Cookie": f"voter={first}"}):
        assert vote(client, poll, "2", **headers).expect(202)["vote_id"] != first
    counted(client, poll, 1, 2)


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1.evil.example", "http://127.0.0.1:1"]
)
def test_another_sites_page_may_not_vote_with_the_cookie(
    client: Client, browser: Client, poll: Made, origin: str
) -> None:
    """Were a browser to send it: it asks first, and is told no. A form it sends without asking is no vote at all."""
    browser.get("/")
    answer = vote(browser, poll, "1", Origin=origin)
    assert (answer.status, answer.code) == (403, "origin_forbidden")
    asked = browser.request("OPTIONS", f"{poll.path}/vote", headers={"Origin": origin})
    assert asked.headers["Access-Control-Allow-Origin"] is None
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        form = browser.request(
            "POST", f"{poll.path}/vote", body=b'{"option":"1"}', headers={"Content-Type": kind, "Origin": origin}
        )
        assert (form.status, form.code) == (415, "unsupported_media_type")
    counted(client, poll, 0, 0)


def test_our_own_page_may(client: Client, browser: Client, poll: Made) -> None:
    cookie = browser.get("/").headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    vote(browser, poll, "1", Origin=f"http://127.0.0.1:{browser.port}").expect(202)
    vote(browser, poll, "1").expect(202)
    counted(client, poll, 1, 0)


def _settled(client: Client, poll: Made) -> dict[str, object]:
    """The poll once all that was cast in it so far is decided: it is closed, and final."""
    client.post(f"{poll.path}/close", **poll.admin).expect(200)
    return final(client, poll)
