"""The contract's tests: every error in its form, and what bad input of every kind gets."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from support.http import Answer, Client
from support.polls import Made, create
from support.waiting import until

from polling.core.polls import MAX_BODY

BODIES = ["/api/polls", "/api/polls/{id}/vote"]
"""The addresses that take JSON."""


def send(
    client: Client, address: str, poll: Made, body: bytes, content_type: str | None = "application/json"
) -> Answer:
    headers = {} if content_type is None else {"Content-Type": content_type}
    return client.request("POST", address.format(id=poll.id), body=body, headers=headers)


def test_the_form_of_an_error(client: Client) -> None:
    answer = client.get("/api/polls/nobody")
    assert answer.headers["Content-Type"] == "application/problem+json; charset=utf-8"
    assert answer.json == {
        "type": "/docs#poll_not_found",
        "title": "Poll not found",
        "status": 404,
        "detail": "There is no such poll.",
        "code": "poll_not_found",
    }


@pytest.mark.parametrize("address", BODIES)
@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"}", b"nonsense", b"{'option': '1'}", b'{"option": "1"} {}', b'{"option": "1",}', b"\x00"),
        *(b'{"option": "\xff"}', b'{"option": "\xed\xa0\x80"}', b"\xff\xfe{\x00}\x00"),
        *(b'{"option": NaN}', b'{"option": Infinity}', b'{"option": -Infinity}', b"NaN"),
        *(b"[" * 20_000 + b"]" * 20_000, b'{"a":' * 10_000 + b"1" + b"}" * 10_000),
        *(b'{"option": "\n"}', b'{"option": "\\x"}', b'{"option": 01}'),
    ],
    ids=repr,
)
def test_what_is_no_json(client: Client, poll: Made, address: str, body: bytes) -> None:
    answer = send(client, address, poll, body)
    assert (answer.status, answer.code) == (400, "malformed_json")


@pytest.mark.parametrize("address", BODIES)
@pytest.mark.parametrize("body", [b"[]", b"null", b"1", b'"text"', b"true", b"[[]]", b'[{"option": "1"}]'])
def test_json_that_is_no_object(client: Client, poll: Made, address: str, body: bytes) -> None:
    answer = send(client, address, poll, body)
    assert (answer.status, answer.code) == (422, "validation_error")
    assert answer.json["errors"] == [{"pointer": "#", "detail": answer.json["errors"][0]["detail"]}]


@pytest.mark.parametrize("address", BODIES)
def test_numbers_beyond_bounds(client: Client, poll: Made, address: str) -> None:
    for number in ("1e999", "1" * 5000, "-" + "9" * 400):
        answer = send(client, address, poll, b'{"option": %s}' % number.encode())
        assert answer.status in (400, 422)
        assert answer.code in ("malformed_json", "validation_error")


@pytest.mark.parametrize("address", BODIES)
@pytest.mark.parametrize(
    "content_type",
    [
        *(None, "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"),
        *("application/jsonp", "application/json; charset=latin-1", "application/x-ndjson", "json"),
    ],
)
def test_other_media_types(client: Client, poll: Made, address: str, content_type: str | None) -> None:
    answer = send(client, address, poll, b'{"option": "1"}', content_type)
    assert (answer.status, answer.code) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON", 'application/json; charset="UTF-8"', "application/json;charset=utf8"],
)
def test_json_by_any_name(client: Client, poll: Made, content_type: str) -> None:
    send(client, "/api/polls/{id}/vote", poll, b'{"option": "1"}', content_type).expect(202)


@pytest.mark.parametrize("address", BODIES)
def test_bodies_over_the_limit(client: Client, poll: Made, address: str) -> None:
    fits = json.dumps({"option": "1", "question": "q", "options": ["a", "b"]}).encode()
    assert send(client, address, poll, fits.ljust(MAX_BODY)).status == 422
    answer = send(client, address, poll, fits.ljust(MAX_BODY + 1))
    assert (answer.status, answer.code, answer.json["limit"]) == (413, "body_too_large", MAX_BODY)
    assert "65,536 bytes" in answer.json["detail"]
    assert client.get("/livez").status == 200, "the connection may be used on"


def test_a_body_in_chunks_has_the_same_limit(client: Client, poll: Made) -> None:
    def answer_to(size: int) -> bytes:
        head = f"POST {poll.path}/vote HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        chunk = b'{"option": "1"}'.ljust(size)
        return client.raw(
            f"{head}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n{size:x}\r\n".encode()
            + chunk
            + b"\r\n0\r\n\r\n"
        )

    assert answer_to(MAX_BODY).startswith(b"HTTP/1.1 202 ")
    assert answer_to(MAX_BODY + 1).startswith(b"HTTP/1.1 413 ")


def test_a_body_of_gigabytes_is_refused_unread(client: Client) -> None:
    head = (
        b"POST /api/polls HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9999999999\r\n\r\n"
    )
    answer = client.raw(head)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"body_too_large"' in answer


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/api",
        "/api/",
        "/api/polls/",
        "/api/polls/x/votes",
        "/api/polls/x/close/y",
        "/static/nothing.js",
        "/static/../cli.py",
        "/%ff",
        "/api/polls/%ff",
    ],
)
def test_addresses_that_are_none(client: Client, path: str) -> None:
    answer = client.get(path)
    assert (answer.status, answer.code) == (404, "not_found")


ADDRESSES = {
    "/api/polls": {"GET", "HEAD", "POST", "OPTIONS"},
    "/api/polls/{id}": {"GET", "HEAD", "PATCH", "DELETE", "OPTIONS"},
    "/api/polls/{id}/reopen": {"POST", "OPTIONS"},
    "/api/polls/{id}/series": {"GET", "HEAD", "OPTIONS"},
    "/api/polls/{id}/export": {"GET", "HEAD", "OPTIONS"},
    "/api/polls/{id}/vote": {"POST", "OPTIONS"},
    "/api/polls/{id}/votes/batch": {"POST", "OPTIONS"},
    "/api/polls/{id}/votes/AAAA": {"GET", "HEAD", "OPTIONS"},
    "/api/polls/{id}/close": {"POST", "OPTIONS"},
    "/api/leaderboard": {"GET", "HEAD", "OPTIONS"},
    "/livez": {"GET", "HEAD", "OPTIONS"},
    "/readyz": {"GET", "HEAD", "OPTIONS"},
    "/metrics": {"GET", "HEAD", "OPTIONS"},
    "/openapi.json": {"GET", "HEAD", "OPTIONS"},
    "/docs": {"GET", "HEAD", "OPTIONS"},
    "/": {"GET", "HEAD", "OPTIONS"},
    "/leaderboard": {"GET", "HEAD", "OPTIONS"},
    "/p/{id}": {"GET", "HEAD", "OPTIONS"},
    "/p/{id}/embed": {"GET", "HEAD", "OPTIONS"},
    "/p/{id}/qr.svg": {"GET", "HEAD", "OPTIONS"},
    "/embed.js": {"GET", "HEAD", "OPTIONS"},
}
"""Every address of the contract, and what it takes."""


@pytest.mark.parametrize("address", ADDRESSES)
def test_methods_that_an_address_does_not_take(client: Client, poll: Made, address: str) -> None:
    path, allowed = address.format(id=poll.id), ADDRESSES[address]
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"} - allowed:
        body = b"{}" if method in ("POST", "PUT", "PATCH") else None
        answer = client.request(method, path, body=body, headers={"Content-Type": "application/json"})
        assert answer.status == 405, method
        assert set(answer.headers["Allow"].split(", ")) == allowed
        if method != "HEAD":
            assert answer.code == "method_not_allowed"


@pytest.mark.parametrize("method", ["PROPFIND", "TRACE", "BREW", "get"])
def test_methods_that_nobody_takes(client: Client, method: str) -> None:
    answer = client.request(method, "/api/polls")
    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert answer.headers["Allow"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_asking_what_an_address_takes(client: Client, poll: Made, address: str) -> None:
    answer = client.request("OPTIONS", address.format(id=poll.id))
    assert (answer.status, answer.body) == (204, b"")
    assert set(answer.headers["Allow"].split(", ")) == ADDRESSES[address]


@pytest.mark.parametrize("address", [one for one in ADDRESSES if "GET" in ADDRESSES[one] and "votes" not in one])
def test_head_is_get_without_the_body(client: Client, poll: Made, address: str) -> None:
    path = address.format(id=poll.id)
    until(lambda: client.get(path).status == 200, "all parts are there, for one that asks whether they are")
    got, head = client.get(path), client.request("HEAD", path)
    assert (head.status, head.body) == (got.status, b"") == (200, b"")
    own = {"Date", "Content-Length", "Set-Cookie"}  # the page's first cookie, and metrics grow
    assert {k: v for k, v in head.headers.items() if k not in own} == {
        k: v for k, v in got.headers.items() if k not in own
    }
    if address not in ("/metrics", "/api/leaderboard"):
        assert head.headers["Content-Length"] == str(len(got.body))


def test_head_of_a_vote(client: Client, poll: Made) -> None:
    vote_id = client.post(f"{poll.path}/vote", {"option": "1"}).expect(202)["vote_id"]
    assert client.request("HEAD", f"{poll.path}/votes/{vote_id}").status == 200
    assert client.request("HEAD", f"{poll.path}/votes/nonsense").status == 404


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST /api/polls HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/polls HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"POST /api/polls HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
    ],
    ids=["words", "no-colon", "negative-length", "two-lengths", "smuggled", "headers-too-long"],
)
def test_what_is_no_http_ends_the_connection(client: Client, data: bytes) -> None:
    answer = client.raw(data)
    assert answer == b"" or answer.split(b" ", 2)[1].startswith(b"4"), answer
    assert client.get("/livez").status == 200


def test_two_requests_at_once_are_answered_in_order(client: Client, poll: Made) -> None:
    one = f"POST {poll.path}/vote HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode()
    body = b'{"option": "1"}'
    vote = one + b"Content-Length: %d\r\n\r\n" % len(body) + body
    last = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = client.raw(vote + vote + last)
    assert re.findall(rb"HTTP/1\.1 (\d{3}) ", answer) == [b"202", b"202", b"200"]


def test_a_query_on_a_vote_changes_nothing(client: Client, poll: Made) -> None:
    client.post(f"{poll.path}/vote?option=2", {"option": "1"}).expect(202)


SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/docs", 200),
        ("GET", "/api/polls", 200),
        ("GET", "/nothing", 404),
        ("POST", "/api/polls", 400),
        ("DELETE", "/api/leaderboard", 405),
        ("OPTIONS", "/api/polls", 204),
    ],
)
def test_every_answer_is_safe_to_show(client: Client, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    assert answer.status == status
    assert {name: answer.headers[name] for name in SECURITY} == SECURITY
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["Server"] is None


def test_votes_are_not_kept_by_caches(client: Client, poll: Made) -> None:
    assert client.post(f"{poll.path}/vote", {"option": "1"}).headers["Cache-Control"] == "no-store"
    assert client.get(poll.path).headers["Cache-Control"] == "no-cache"


def test_no_error_shows_what_is_inside(client: Client, poll: Made) -> None:
    answers: list[Any] = [
        client.get("/api/polls?cursor=' OR 1=1 --".replace(" ", "%20")),
        client.post(f"{poll.path}/vote", {"option": "'; DROP TABLE polls; --"}),
        client.get("/api/polls/' OR ''='".replace(" ", "%20")),
        send(client, BODIES[0], poll, b"[" * 20_000),
    ]
    for answer in answers:
        assert 400 <= answer.status < 500
        assert not any(word in answer.body for word in (b"Traceback", b"psycopg", b"msgspec", b"SELECT", b"File "))


def test_a_poll_named_like_markup_is_only_text(client: Client) -> None:
    poll = create(client, "<b>", "</script>", question="<img src=x onerror=alert(1)>")
    answer = client.get(poll.path)
    assert answer.json["question"] == "<img src=x onerror=alert(1)>"
    assert answer.headers["Content-Type"].startswith("application/json")
