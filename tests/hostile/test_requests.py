"""Hostile requests: what two could read in two ways, lengths that lie, bombs, and texts that are no plain words."""

from __future__ import annotations

import gzip
import json
import re
import threading
import zlib
from typing import Any

import pytest
from support.http import Client
from support.polls import Made, counted, create, results, vote
from support.wire import VOTE, Server, Wire, last, request, statuses


def test_requests_keep_their_order_however_they_are_cut(server: Server, client: Client, poll: Made) -> None:
    """A vote of which a part comes first and the rest with many other requests: nothing overtakes, nothing is lost."""
    padded = VOTE.ljust(4000)
    long = request(poll, padded)
    following = b""
    for number in range(60):
        following += request(poll) if number % 3 else b"GET /api/polls/none-%d HTTP/1.1\r\nHost: x\r\n\r\n" % number
    expected = [202] + [202 if number % 3 else 404 for number in range(60)] + [200]
    end = last(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    head = long.index(b"\r\n\r\n") + 4
    for cut in (10, head - 2, head, head + 5, head + 3990, len(long)):
        with server.wire() as wire:
            wire.send(long[:cut])
            # So that the first part is read alone: another connection's request comes after it.
            server.lives()
            wire.send(long[cut:] + following + end)
            assert statuses(wire.rest()) == expected, cut
    counted(client, poll, 6 * 41, 0)


def test_a_request_that_comes_while_a_vote_is_cast_waits_its_turn(server: Server, client: Client, poll: Made) -> None:
    """It arrives while Kafka is asked, with another one half before it."""
    get = b"GET /api/polls/none HTTP/1.1\r\nHost: x\r\n\r\n"
    for _ in range(20):
        with server.wire() as wire:
            wire.send(request(poll) + get[:20])
            wire.send(get[20:] + request(poll) + last(get))
            assert statuses(wire.rest()) == [202, 404, 202, 404]
    counted(client, poll, 40, 0)


ODD_HEADS: list[tuple[bytes, ...]] = [
    (b"Transfer-Encoding: chunked",),
    (b"Transfer-Encoding: identity",),
    (b"Transfer-Encoding : chunked",),
    (b"Transfer-Encoding: chunked, identity",),
    (b"transfer-encoding: xchunked",),
    (b"Content-Length: 99",),
    (b"Content-Length: 14, 99",),
    (b"content-length: 0",),
    (b"Content-Length: ",),
    (b"Content-Length: -14",),
    (b"Content-Length: 14\x0b",),
    (b"Host: other",),
    (b"X: 1\r\n folded",),
    (b" X: 1",),
    (b"X\x00: 1",),
    (b"X: \x00",),
    (b"X: \x7f",),
    (b": empty",),
    (b"no colon",),
]


@pytest.mark.parametrize("fields", ODD_HEADS, ids=repr)
def test_a_head_that_can_be_read_in_two_ways_ends_the_connection(
    server: Server, client: Client, poll: Made, fields: tuple[bytes, ...]
) -> None:
    """The request behind it, which the attacker wants to be taken for another one's, is never answered."""
    smuggled = b"DELETE /api/polls/x HTTP/1.1\r\nHost: x\r\n\r\n"
    with server.wire() as wire:
        wire.send(request(poll, VOTE, *fields) + smuggled)
        answer = wire.rest()
    assert statuses(answer) == [400], answer
    assert b'"malformed_json"' in answer
    assert results(client, poll)["total_votes"] == 0


@pytest.mark.parametrize(
    "fields",
    [
        (b"Content-Length: 14",),
        (b"X-Unknown: \xe9\xff",),
        (b"x-forwarded-for: 1.2.3.4\r\nX-FORWARDED-FOR: 5.6.7.8",),
        (b"Cookie: voter=forged",),
        (b'Cookie: voter="2|1:0|10:1700000000|5:voter|4:YWJj|00"; voter=x; ;;=;\x80',),
        (b"Accept: text/html",),
        (b"Idempotency-Key: \xc3\xa9",),
        (b"Idempotency-Key:",),
        (b"Idempotency-Key: " + b"k" * 256,),
        (b"Idempotency-Key: a\r\nIdempotency-Key: b",),
        (b"Content-Encoding: gzip",),
        (b"Content-Type: text/plain",),
        (b"Prefer: wait=99999999999999999999",),
        (b"Expect: nonsense",),
        (b"Connection: upgrade, close, , \xff",),
        (b"Upgrade: h2c",),
    ],
    ids=repr,
)
def test_odd_fields_are_answered_alike_by_both_ways(server: Server, poll: Made, fields: tuple[bytes, ...]) -> None:
    """As the fast lane sees it first, and as only Tornado does (with a field that keeps the lane away)."""
    answers = []
    for more in ((), (b"Authorization: none",)):
        with server.wire() as wire:
            wire.send(request(poll, VOTE, *fields, *more) + last(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"))
            answers.append(statuses(wire.rest().replace(b"HTTP/1.1 100 ", b"")))
    assert answers[0] == answers[1]
    assert 400 <= answers[0][0] < 500 or answers[0][0] in (200, 202)


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"http://x/api/polls/%b/vote", 404),
        (b"/api/polls/%b/vote/", 404),
        (b"/api/polls/%b/vote;x=1", 404),
        (b"//api/polls/%b/vote", 404),
        (b"/api/polls/../polls/%b/vote", 404),
        (b"/api/polls/%b%%00/vote", 404),
        (b"/api/polls/%b%%2fvote", 405),
        (b"/api/polls/%b/vote?", 202),
        (b"/api/polls/%b/vote#", 404),
        (b"/api/polls/%b/%%76ote", 404),
    ],
)
def test_targets_of_many_spellings(server: Server, poll: Made, target: bytes, status: int) -> None:
    plain = request(poll)
    odd = plain.replace(b"%b/vote" % poll.path.encode(), target % poll.id.encode(), 1)
    with server.wire() as wire:
        wire.send(last(odd))
        assert statuses(wire.rest()) == [status]


def test_a_poll_by_its_escaped_id_is_the_same_poll(server: Server, client: Client, poll: Made) -> None:
    escaped = "".join(f"%{ord(letter):02x}" for letter in poll.id)
    client.post(f"/api/polls/{escaped}/vote", {"option": "1"}).expect(202)
    counted(client, poll, 1, 0)


@pytest.mark.parametrize("version", [b"HTTP/1.0", b"HTTP/1.1"])
def test_old_and_new_http(server: Server, poll: Made, version: bytes) -> None:
    with server.wire() as wire:
        wire.send(last(request(poll).replace(b"HTTP/1.1", version)))
        assert statuses(wire.rest()) == [202]


@pytest.mark.parametrize(
    ("declared", "status"),
    [(b"9" * 5000, 413), (b"9" * 19, 413), (b"65537", 413), (b"1" * 5000 + b", " + b"1" * 5000, 400), (b"0x20", 400)],
    ids=["5000-digits", "19-digits", "one-over", "5000-digits-twice", "hexadecimal"],
)
def test_lengths_that_lie(server: Server, declared: bytes, status: int) -> None:
    with server.wire() as wire:
        head = b"POST /api/polls HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
        wire.send(head + b"Content-Length: " + declared + b"\r\n\r\n")
        assert statuses(wire.rest())[-1] == status


@pytest.mark.parametrize("chunk", [b"-1", b"0x5", b"5 5", b"fffffffffffffffff" * 3, b"", b"\xff", b"5;" + b"x" * 100])
def test_chunks_that_are_none(server: Server, poll: Made, chunk: bytes) -> None:
    head = last(request(poll, b"", b"Transfer-Encoding: chunked")).replace(b"Content-Length: 0\r\n", b"")
    with server.wire() as wire:
        wire.send(head + chunk + b"\r\nhello\r\n0\r\n\r\n")
        answer = wire.rest()
    assert answer == b"" or 400 <= statuses(answer)[0] < 500


def test_compressed_bombs_are_not_unpacked(server: Server, client: Client, poll: Made) -> None:
    before = server.megabytes()
    text = b'{"option": "1", "x": "' + b"a" * 50_000_000
    for name, bomb in (("gzip", gzip.compress(text)), ("deflate", zlib.compress(text)), ("br", b"x" * 1000)):
        for path in (f"{poll.path}/vote", "/api/polls", f"{poll.path}/votes/batch"):
            kind = "application/x-ndjson" if path.endswith("batch") else "application/json"
            answer = client.request("POST", path, body=bomb, headers={"Content-Type": kind, "Content-Encoding": name})
            assert (answer.status, answer.code) == (415, "unsupported_media_type")
    assert server.megabytes() < before + 40


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"option":"2","option":"1"}', 202),
        (b'{"option":"1","option":2}', 422),
        (b'{"option":"1","voter":null,"voter":"x"}', 422),
        (b'{"option":"\\u0031"}', 202),
        (b'{"option":"1\\u0000"}', 422),
        (b'{"option":"\\ud800"}', 400),
        (b'{"option":"\\udc00\\ud800"}', 400),
        (b'{"option":"\\ud83d\\ude00"}', 422),
        (b'{"option":"\xed\xa0\x80"}', 400),
        (b'{"option":"\xc0\xb1"}', 400),
        (b'{"option":1e999999999}', 422),
        (b'{"option":-0.0}', 422),
        (b'{"__proto__":{"option":"1"}}', 422),
        (b'{"option":{"$ne":null}}', 422),
        (b'{"option":"%s"}' % (b"9" * 3000), 422),
        (b'{"option":"00001"}', 422),
        (b'{"option":"\xd9\xa1"}', 422),
        (b'{"option":""}', 422),
    ],
    ids=repr,
)
def test_json_that_two_could_read_in_two_ways(server: Server, poll: Made, body: bytes, status: int) -> None:
    """Of a name that is there twice the last one counts, everywhere; and what is no JSON or no option is no vote."""
    with server.wire() as wire:
        wire.send(request(poll, body) + last(request(poll, body)))
        assert statuses(wire.rest()) == [status, status]


def test_the_last_of_two_names_is_the_one_that_counts(server: Server, client: Client, poll: Made) -> None:
    body = b'{"option":"2","option":"1"}'
    with server.wire() as wire:
        wire.send(request(poll, body) + last(request(poll, body)))
        wire.rest()
    counted(client, poll, 2, 0)


TEXTS = {
    "sql": "'; DROP TABLE polls; --",
    "sql-like": "%_\\' OR '1'='1",
    "format": "%s %(number)s {0} {self} $1 ${x} #{y} :id",
    "markup": "<script>alert(1)</script><img src=x onerror=alert(1)>\"'`",
    "template": "{{7*7}} {% raw %} <%= 7*7 %>",
    "line-ends": "a\r\nSet-Cookie: voter=x\r\n\r\nb",
    "right-to-left": "\u202egnp.exe\u202c \u05d0\u05d1",
    "zero-width": "a\u200bb\u200d\ufeff",
    "only-zero-width": "\u200b",
    "combining": "Z" + "\u0351" * 150,
    "controls": "\x01\x1b[31mred\x7f\x85\u2028",
    "astral": "\U0001f469\u200d\U0001f4bb\U0010ffff",
    "look-alike": "\u0440\u0430ypal",
    "csv": '=cmd|"/c calc"!A1',
    "path": "../../../etc/passwd",
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts_stay_the_texts_they_are(server: Server, client: Client, name: str) -> None:
    """In answers, as options that can be voted for, as keys and voters, and on sockets."""
    text = TEXTS[name].strip()
    poll = create(client, text, text + "!", question=text, one_vote_per="voter", listed=False)
    read = results(client, poll)
    assert read["question"] == text
    assert [option["text"] for option in read["options"]] == [text, text + "!"]
    vote(client, poll, text, voter=text, **poll.admin).expect(202)
    counted(client, poll, 1, 0)
    with server.socket(f"?poll={poll.id}") as wire:
        shown = wire.answer("results")
        assert shown["options"][0]["text"] == text


@pytest.mark.parametrize("bad", ["", " ", "\u2003\t", "a\0b", "x" * 501])
def test_texts_that_no_poll_may_have(client: Client, bad: str) -> None:
    answer = client.post("/api/polls", {"question": bad, "options": ["a", "b"]})
    assert (answer.status, answer.code) == (422, "validation_error")
    assert answer.json["errors"][0]["pointer"] == "#/question"


def test_a_key_with_another_body(client: Client, poll: Made) -> None:
    first = vote(client, poll, "1", Idempotency_Key="same").expect(202)
    assert vote(client, poll, "Yes", Idempotency_Key="same").expect(202)["vote_id"] == first["vote_id"]
    answer = vote(client, poll, "2", Idempotency_Key="same")
    assert (answer.status, answer.code) == (422, "idempotency_key_reused")
    assert answer.json["vote_id"] == first["vote_id"]
    counted(client, poll, 1, 0)


def test_names_of_any_length_make_no_long_answers(client: Client, poll: Made) -> None:
    body = json.dumps({f"{number}" + "\U000e0001" * 2000: 1 for number in range(7)}, ensure_ascii=False).encode()
    answer = client.request("POST", f"{poll.path}/vote", body=body, headers={"Content-Type": "application/json"})
    assert (answer.status, answer.code) == (422, "validation_error")
    assert len(answer.body) < 32_000


UNKNOWN = 8_000


def test_unknown_polls_are_not_remembered(server: Server, client: Client, poll: Made) -> None:
    """Each is asked for once, over HTTP and by sockets, and nothing of it stays."""
    _ask_for_unknown(server, 0, 400)
    before, known = server.megabytes(), server.metric("known_polls")
    threads = [
        threading.Thread(target=_ask_for_unknown, args=(server, 1 + number, UNKNOWN // 4)) for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.metric("known_polls") <= known + 20, "but for polls that other tests make"
    assert server.megabytes() < before + 30
    vote(client, poll).expect(202)


def _ask_for_unknown(server: Server, who: int, count: int) -> None:
    with server.wire() as wire:
        for start in range(0, count, 200):
            ids = [b"%02d%018d" % (who, start + number) for number in range(200)]
            wire.got = b""
            wire.send(b"".join(b"GET /api/polls/%b HTTP/1.1\r\nHost: x\r\n\r\n" % one for one in ids))
            wire.until(b"HTTP/1.1 404 ", len(ids))
            wire.until(b'"poll_not_found"', len(ids))


def test_a_thousand_connections_come_and_go(server: Server, client: Client, poll: Made) -> None:
    before = server.megabytes()
    for _ in range(3):
        wires: list[Wire] = [server.wire() for _ in range(300)]
        for number, wire in enumerate(wires):
            wire.send(request(poll) if number % 3 else request(poll)[: number % 50])
        for number, wire in enumerate(wires):
            if number % 3:
                wire.until(b"HTTP/1.1 202 ")
            wire.close()
    counted(client, poll, 600, 0)
    assert server.megabytes() < before + 60


def json_of(answer: bytes) -> Any:
    return json.loads(answer.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize(
    "number", ["9" * 5000, "1e999", "NaN", "[" * 30_000, '{"a":' * 10_000, '"' + "\\u0000" * 5000 + '"']
)
def test_values_that_break_parsers(server: Server, number: str) -> None:
    body = b'{"question": %s, "options": ["a", "b"]}' % number.encode()
    with server.wire() as wire:
        head = b"POST /api/polls HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
        wire.send(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        answer = wire.rest()
    assert statuses(answer)[0] in (400, 422)
    assert re.fullmatch(r"malformed_json|validation_error", json_of(answer)["code"])
