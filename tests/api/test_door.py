"""The door: the fast lane gives the answers that the handler gives, and nothing odd gets past it."""

from __future__ import annotations

import json
import re
import socket
import time
from typing import Any

import pytest
from support.http import Client
from support.system import System
from support.waiting import until

PATIENCE = 30.0
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


@pytest.fixture
def poll(system: System) -> Any:
    return system.client.post("/api/polls", {"question": "Which?", "options": ["a", "b"]}).expect(201)


def request(poll: Any, body: bytes = b'{"option":"a"}', *fields: bytes, length: bytes | None = None) -> bytes:
    lines = [
        b"POST /api/polls/%b/vote HTTP/1.1" % poll["id"].encode(),
        b"Host: x",
        b"Content-Type: application/json",
        length if length is not None else b"Content-Length: %d" % len(body),
        *fields,
    ]
    return b"\r\n".join(line for line in lines if line) + b"\r\n\r\n" + body


def last(data: bytes) -> bytes:
    """The same request, after which the server closes."""
    return data.replace(b"Host: x\r\n", b"Host: x\r\nConnection: close\r\n", 1)


def statuses(client: Client, data: bytes) -> list[int]:
    return [int(status) for status in _STATUS.findall(client.raw(data))]


def spoken(system: System, *parts: bytes) -> bytes:
    """Sends these parts one after the other; what came back until the connection closed."""
    with socket.create_connection((system.client.host, system.client.port), PATIENCE) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts:
            connection.sendall(part)
            time.sleep(0.005)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        return received


def total(system: System, poll: Any) -> int:
    return int(system.client.get(f"/api/polls/{poll['id']}").expect(200)["total_votes"])


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"option":"a"}', 202),
        (b'{"option":"2"}', 202),
        (b'{"option":"c"}', 422),
        (b'{"option":1}', 422),
        (b'{"option":"a","voter":"v"}', 422),
        (b"{", 400),
        (b'{"option":"\xff"}', 400),
        (b"", 400),
    ],
)
def test_both_ways_answer_the_same(system: System, poll: Any, body: bytes, status: int) -> None:
    plain = system.client.raw(request(poll, body) + last(request(poll, body)))
    lane, _, handler = plain.partition(b"HTTP/1.1 %d" % status)[2].partition(b"HTTP/1.1 %d" % status)
    assert handler, plain
    assert comparable(lane) == comparable(handler)


def comparable(answer: bytes) -> tuple[dict[str, str], set[str]]:
    """The headers that do not depend on the moment, and the names of the body's fields."""
    head, _, body = answer.partition(b"\r\n\r\n")
    fields = dict(line.decode().lower().split(": ", 1) for line in head.split(b"\r\n")[1:])
    for varying in ("date", "location", "connection", "set-cookie"):
        fields.pop(varying, None)
    return fields, set(json.loads(body))


def test_the_lane_is_taken(system: System, poll: Any) -> None:
    """Otherwise the test above compares the handler with itself: the two name the cookie's end differently."""
    answer = system.client.raw(request(poll) + last(request(poll)))
    ends = re.findall(rb"expires=[^;]* (\d\d:\d\d:\d\d) GMT", answer)
    assert len(ends) == 2
    assert ends[0].endswith(b":00:00")


def test_both_ways_make_the_same_ballot(system: System, poll: Any) -> None:
    key = b"Idempotency-Key: k"
    data = request(poll, b'{"option":"a"}', key) + last(request(poll, b'{"option":"a"}', key))
    assert len(set(vote_ids(system.client.raw(data)))) == 1
    other = request(poll, b'{"option":"b"}', key) + last(request(poll, b'{"option":"b"}', key))
    assert statuses(system.client, other) == [422, 422]


def test_both_ways_know_the_browser(system: System) -> None:
    created = {"question": "Which?", "options": ["a", "b"], "one_vote_per": "browser", "allow_change": False}
    poll = system.client.post("/api/polls", created).expect(201)
    first = system.client.raw(last(request(poll)))
    cookie = re.search(rb"Set-Cookie: (voter=[^;]*)", first)
    assert cookie is not None
    field = b"Cookie: " + cookie[1]
    again = request(poll, b'{"option":"a"}', field) + last(request(poll, b'{"option":"a"}', field))
    answer = system.client.raw(again)
    assert set(vote_ids(answer)) == set(vote_ids(first))
    assert b"Set-Cookie" not in answer
    other = request(poll, b'{"option":"b"}', field) + last(request(poll, b'{"option":"b"}', field))
    assert statuses(system.client, other) == [409, 409]


def vote_ids(answers: bytes) -> list[bytes]:
    return re.findall(rb'"vote_id":"([^"]+)"', answers)


def test_requests_one_behind_the_other(system: System, poll: Any) -> None:
    other = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    data = request(poll) + request(poll, b'{"option":"c"}') + other + request(poll) + last(request(poll))
    assert statuses(system.client, data) == [202, 422, 200, 202, 202]
    until(lambda: total(system, poll) == 3, "the three votes are counted")


def test_requests_in_pieces(system: System, poll: Any) -> None:
    whole = request(poll)
    head, body = whole[: -len(b'{"option":"a"}')], b'{"option":"a"}'
    end = last(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    for parts in ((head, body), (whole[:30], whole[30:]), (head + body[:3], body[3:]), [bytes([b]) for b in whole]):
        answer = spoken(system, *parts, end)
        assert [int(status) for status in _STATUS.findall(answer)] == [202, 200]
    until(lambda: total(system, poll) == 4, "the four votes are counted")


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
    ],
)
def test_what_is_no_http_gets_a_problem_document(system: System, data: bytes) -> None:
    answer = system.client.raw(data)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "malformed_json"
    assert b"\r\nServer:" not in answer


def test_a_head_of_any_length_is_answered(system: System) -> None:
    answer = system.client.raw(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 500_000 + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "malformed_json"


@pytest.mark.parametrize(
    ("length", "fields"),
    [
        (None, (b"Transfer-Encoding: chunked",)),
        (None, (b"Content-Length: 15",)),
        (b"Content-Length: +14", ()),
        (b"Content-Length : 14", ()),
        (None, (b"X-Folded: 1\r\n 2",)),
    ],
)
def test_a_head_that_two_could_read_in_two_ways_is_refused(
    system: System, poll: Any, length: bytes | None, fields: tuple[bytes, ...]
) -> None:
    assert statuses(system.client, request(poll, b'{"option":"a"}', *fields, length=length)) == [400]
    assert total(system, poll) == 0


def test_a_body_over_the_limit_is_refused_and_the_connection_goes_on(system: System, poll: Any) -> None:
    too_large = request(poll, b"x" * 65_537)
    chunked = request(poll, b"1000\r\n" + b"x" * 4096 + b"\r\n", b"Transfer-Encoding: chunked", length=b"")
    chunked += (b"1000\r\n" + b"x" * 4096 + b"\r\n") * 16 + b"0\r\n\r\n"
    answer = system.client.raw(too_large + chunked + last(request(poll)))
    assert [int(status) for status in _STATUS.findall(answer)] == [413, 413, 202]
    assert b'"limit":65536' in answer


def test_a_chunk_of_any_announced_size_is_refused(system: System, poll: Any) -> None:
    data = request(poll, b"7fffffff\r\n" + b"x" * 70_000, b"Transfer-Encoding: chunked", length=b"")
    with socket.create_connection((system.client.host, system.client.port), PATIENCE) as connection:
        connection.sendall(data)
        assert connection.recv(12) == b"HTTP/1.1 413"


def test_who_asks_before_sending_is_refused_before_sending(system: System, poll: Any) -> None:
    data = request(poll, b"", b"Expect: 100-continue", length=b"Content-Length: 70000")
    assert statuses(system.client, data) == [413]
