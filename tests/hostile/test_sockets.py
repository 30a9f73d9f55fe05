"""Hostile sockets: frames that are none, frames without end, and crowds."""

from __future__ import annotations

import contextlib
import os
import struct

import pytest
from support.http import Client
from support.polls import Made, create, vote
from support.waiting import until
from support.wire import BINARY, CLOSE, PING, PONG, TEXT, Server, frame, say, upgrade

NO_FRAMES = {
    "compressed": frame(TEXT, b"\xaa\x56\x2a\xa9\x2c\x48\x55\xb2\x52\x2a\xc8\xcc\x4b\x57\xaa\x05\x00", reserved=4),
    "a deflate bomb": frame(TEXT, b"\xec\xc1\x01\x01" + bytes(60_000), reserved=4),
    "reserved bits": frame(TEXT, b"{}", reserved=3),
    "an unknown opcode": frame(3, b"{}"),
    "an unknown control opcode": frame(11),
    "a ping in two": frame(PING, b"x", final=False),
    "a ping too long": frame(PING, b"x" * 126),
    "a part of nothing": frame(0, b"x"),
    "a message in a message": frame(TEXT, b"{", final=False) + frame(TEXT, b"{}"),
    "a close of one byte": frame(CLOSE, b"\x03"),
    "a close that is no text": frame(CLOSE, b"\x03\xe8\xff\xfe"),
    "a close with a code that is never sent": frame(CLOSE, struct.pack("!H", 1006)),
    "a close with a code that is none": frame(CLOSE, struct.pack("!H", 0)),
}


@pytest.mark.parametrize("name", NO_FRAMES)
def test_what_is_no_frame_closes_with_1002(server: Server, name: str) -> None:
    with server.socket() as wire:
        wire.send(NO_FRAMES[name])
        assert wire.close_code() == 1002
    server.lives()


@pytest.mark.parametrize("code", [1000, 1001, 1011, 3000, 4999])
def test_a_good_close_is_answered_in_kind(server: Server, code: int) -> None:
    with server.socket() as wire:
        wire.send(frame(CLOSE, struct.pack("!H", code) + "bye \u2603".encode()))
        assert wire.close_code() == code


@pytest.mark.parametrize("name", ["one frame", "announced only", "in fragments", "in many small fragments"])
def test_a_message_over_the_limit_closes_with_1009(server: Server, name: str) -> None:
    data = {
        "one frame": frame(TEXT, b"x" * 65_537),
        "announced only": struct.pack("!BBQ", 0x81, 0xFF, 1 << 62),
        "in fragments": frame(TEXT, b"x" * 40_000, final=False) + frame(0, b"x" * 40_000, final=False),
        "in many small fragments": frame(TEXT, b"", final=False) + frame(0, b"x" * 64, final=False) * 1100,
    }
    with server.socket() as wire:
        wire.send(data[name])
        assert wire.close_code() == 1009


def test_texts_that_are_no_utf_8_are_bad_frames(server: Server) -> None:
    with server.socket() as wire:
        for bad in (b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b'{"type":"ping"}\xe2\x82', b"\xf4\x90\x80\x80"):
            wire.send(frame(TEXT, bad))
            assert wire.answer()["code"] == "malformed_json"
        # A character may be cut in two by fragments, and a ping may come between them.
        wire.send(frame(TEXT, b'{"type":"ping","x":"\xe2', final=False) + frame(PING, b"?") + frame(0, b'\x82\xac"}'))
        assert wire.answer()["code"] == "validation_error"
        wire.send(frame(BINARY, b"\xff") + say(type="ping"))
        assert wire.answer()["code"] == "unsupported_media_type"
        assert wire.answer() == {"type": "pong"}


FLOODS = {
    "pings": frame(PING, b"p" * 125),
    "pongs": frame(PONG, b"p" * 125),
    "empty fragments": frame(0, b"", final=False),
    "bad texts": frame(TEXT, b"\xff"),
    "bad requests": frame(TEXT, b"[]"),
    "requests": frame(TEXT, b'{"type":"ping"}'),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_is_held_back_by_the_network(guarded: Server, poll: Made, name: str) -> None:
    """After some hundred frames the socket is read a frame a second, so that what else is sent stays outside."""
    flood = FLOODS[name] * 200
    before, limited = guarded.megabytes(), guarded.metric("rate_limited")
    with guarded.socket() as wire:
        if name == "empty fragments":
            wire.send(frame(TEXT, b"", final=False))
        sent = refused = 0
        while refused < 20:
            taken = wire.send_some(flood)
            sent += taken
            refused = 0 if taken else refused + 1
            assert sent < 50_000_000, "it takes whatever comes"
            if not taken:
                # An exempt user votes meanwhile: that is how long this waits.
                with guarded.client(X_Forwarded_For="192.0.2.1") as other:
                    vote(other, poll).expect(202)
        assert guarded.metric("rate_limited") > limited
        assert guarded.megabytes() < before + 40
    guarded.lives()


def test_ten_thousand_subscriptions(server: Server, client: Client, poll: Made) -> None:
    """To polls that are none, and to more than one socket may watch; the one that is there is shown."""
    before = server.megabytes()
    with server.socket() as wire:
        for start in range(0, 10_000, 500):
            wire.send(b"".join(say(type="subscribe", poll=f"none{start + n}") for n in range(500)))
            for _ in range(500):
                assert wire.answer("error")["code"] in ("poll_not_found", "validation_error")
        wire.send(say(type="subscribe", poll=poll.id) * 300)
        assert wire.answer("results")["poll_id"] == poll.id
        # Of the others the newest is enough, where the reader was behind.
        wire.send(say(type="ping"))
        assert wire.answer() == {"type": "pong"}
    assert server.megabytes() < before + 40
    with server.socket("?" + "&".join(f"poll=none{number}" for number in range(900))) as wire:
        assert {wire.answer("error")["code"] for _ in range(900)} == {"poll_not_found"}


def test_subscribing_and_leaving_without_end_leaves_nothing(server: Server, client: Client) -> None:
    polls = [create(client) for _ in range(5)]
    before, watched = server.megabytes(), server.metric("sockets")
    with server.socket() as wire:
        for _ in range(200):
            for poll in polls:
                wire.send(say(type="subscribe", poll=poll.id) + say(type="unsubscribe", poll=poll.id))
        for _ in range(1000):
            assert wire.answer("unsubscribed")
    until(lambda: server.metric("sockets") <= watched, "the socket is gone")
    assert server.megabytes() < before + 30


def test_a_mass_reconnect(server: Server, client: Client, poll: Made) -> None:
    """Five hundred viewers lose their sockets at once, and come back at once, again and again."""
    _crowd(server, poll, 500)
    before = server.megabytes()
    for _ in range(3):
        _crowd(server, poll, 500)
        vote(client, poll).expect(202)
    until(lambda: server.metric("sockets") <= 2, "those who left are counted no more")
    assert server.megabytes() < before + 40


def _crowd(server: Server, poll: Made, count: int) -> None:
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(server.socket(f"?poll={poll.id}")) for _ in range(count)]
        for wire in wires:
            assert wire.answer("results")["poll_id"] == poll.id


@pytest.mark.parametrize(
    "origin", ["http://x.evil.example", "http://evil.example/x", "http://xx", "null", "file://", "*"]
)
def test_look_alike_origins_may_not_use_the_cookie(server: Server, browser: Client, origin: str) -> None:
    """This door is called x. A page elsewhere may open a socket, but not with this browser's vote."""
    browser.get("/")
    for cookie, status in ((f"Cookie: {browser.cookie}", b" 403 "), ("Cookie: voter=forged", b" 101 ")):
        with server.wire() as wire:
            wire.send(upgrade("", f"Origin: {origin}", cookie))
            wire.until(b"\r\n\r\n")
            assert status in wire.got.split(b"\r\n")[0], wire.got


def test_half_open_peers_and_garbage_leave_nothing(server: Server) -> None:
    sockets = server.metric("sockets")
    for size in (0, 1, 2, 5, 100, 5000):
        with server.socket() as wire:
            wire.send(frame(TEXT, b"x" * 6000)[:size])
        with server.socket() as wire:
            wire.send(os.urandom(size))
    until(lambda: server.metric("sockets") <= sockets, "the sockets are gone")
