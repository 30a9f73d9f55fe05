"""The contract's tests: the WebSocket: what it shows by itself, what it answers, and what it bears."""

from __future__ import annotations

import asyncio
import json
import socket as tcp
import struct
import time
from typing import Any

import pytest
from support.http import Client
from support.polls import Made, accepted, batch, counted, create, decided, vote
from support.sockets import Frame, socket
from support.system import System
from tornado.httpclient import HTTPClientError

RESULTS = {"type", "poll_id", "revision", "total_votes", "status", "final", "options"}


def total(votes: int) -> Any:
    return lambda frame: frame["total_votes"] == votes


async def test_life_at_once(system: System) -> None:
    async with socket(system.ws_url) as one:
        welcome = await one.hear()
        assert (welcome["type"], welcome["protocol"]) == ("welcome", 1)
        board = await one.hear()
        assert set(board) == {"type", "updated_at", "entries"}
        assert board["type"] == "leaderboard"


async def test_a_snapshot_and_then_every_change(system: System, client: Client, poll: Made) -> None:
    async with socket(system.ws_url) as one:
        await one.say(type="subscribe", poll=poll.id)
        first = await one.hear_of("results")
        assert first == {
            "type": "results",
            "poll_id": poll.id,
            "revision": 0,
            "total_votes": 0,
            "status": "open",
            "final": False,
            "options": [
                {"id": "1", "text": "Yes", "votes": 0, "share": 0},
                {"id": "2", "text": "No", "votes": 0, "share": 0},
            ],
        }
        accepted(client, poll, "2")
        changed = await one.hear_of("results")
        assert set(changed) == RESULTS
        assert changed["revision"] > 0
        assert changed["options"][1] == {"id": "2", "text": "No", "votes": 1, "share": 1}
        again = await one.answer_to(type="subscribe", poll=poll.id, more=1)
        assert again["code"] == "validation_error"
        await one.say(type="subscribe", poll=poll.id)
        assert await one.hear_of("results") == changed, "subscribing again shows it again"


async def test_the_address_may_name_a_poll(system: System, client: Client, poll: Made) -> None:
    async with socket(f"{system.ws_url}?poll={poll.id}") as one:
        assert (await one.hear())["type"] == "welcome"
        assert (await one.hear_of("results"))["poll_id"] == poll.id
        accepted(client, poll)
        await one.hear_of("results", total(1))


async def test_the_address_may_name_a_poll_that_is_none(system: System) -> None:
    async with socket(f"{system.ws_url}?poll=nobody") as one:
        assert (await one.answer())["code"] == "poll_not_found"
        assert await one.is_alive()


async def test_unsubscribing(system: System, client: Client, poll: Made) -> None:
    async with socket(f"{system.ws_url}?poll={poll.id}") as one:
        await one.hear_of("results")
        assert await one.answer_to(type="unsubscribe", poll=poll.id) == {"type": "unsubscribed", "poll": poll.id}
        accepted(client, poll)
        counted(client, poll, 1, 0)
        other = create(client)
        await one.say(type="subscribe", poll=other.id)
        await one.hear_of("results", lambda frame: frame["poll_id"] == other.id)
        assert [f["poll_id"] for f in one.heard if f["type"] == "results"] == [poll.id, other.id]
        assert (await one.answer_to(type="unsubscribe", poll="never subscribed"))["type"] == "unsubscribed"


async def test_the_leaderboard_comes_and_goes(system: System, client: Client) -> None:
    poll = create(client)

    def has(votes: int) -> Any:
        return lambda frame: any(e["poll_id"] == poll.id and e["votes"] == votes for e in frame["entries"])

    async with socket(system.ws_url) as one:
        await one.hear_of("leaderboard")
        batch(client, poll, [{"option": "1"}] * 5000).expect(202)
        shown = await one.hear_of("leaderboard", has(5000))
        assert len(shown["entries"]) <= 10
        assert set(shown["entries"][0]) == {"rank", "poll_id", "question", "option", "votes", "share"}
        ended = await one.answer_to(type="unsubscribe", leaderboard=True)
        assert ended == {"type": "unsubscribed", "leaderboard": True}
        quiet = len(one.heard)
        async with socket(system.ws_url) as other:
            batch(client, poll, [{"option": "1"}]).expect(202)
            await other.hear_of("leaderboard", has(5001))
        assert await one.is_alive()
        assert [frame["type"] for frame in one.heard[quiet:]] == ["pong"]
        await one.say(type="subscribe", leaderboard=True)
        await one.hear_of("leaderboard", has(5001))
    client.post(f"{poll.path}/close", **poll.admin).expect(200)


async def test_votes(system: System, client: Client, poll: Made) -> None:
    async with socket(system.ws_url) as one:
        for ref in ("text", 5, None, {"deep": [1, "ü"]}, False):
            answer = await one.answer_to(type="vote", poll=poll.id, option="Yes", ref=ref)
            assert answer == {"type": "vote", "ref": ref, "status": "accepted", "vote_id": answer["vote_id"]}
            assert decided(client, poll, answer["vote_id"])["status"] == "counted"
        answer = await one.answer_to(type="vote", poll=poll.id, option="2")
        assert set(answer) == {"type", "status", "vote_id"}
    counted(client, poll, 5, 1)


async def test_many_votes_before_any_answer(system: System, client: Client, poll: Made) -> None:
    async with socket(system.ws_url) as one:
        for number in range(200):
            await one.say(type="vote", poll=poll.id, option=str(1 + number % 2), ref=number)
        refs = [(await one.answer())["ref"] for _ in range(200)]
    assert sorted(refs) == list(range(200))
    counted(client, poll, 100, 100)


async def test_votes_with_a_key(system: System, client: Client, poll: Made) -> None:
    vote_id = accepted(client, poll, "1", Idempotency_Key="k")
    async with socket(system.ws_url) as one:
        same = await one.answer_to(type="vote", poll=poll.id, option="1", idempotency_key="k")
        assert same["vote_id"] == vote_id
        other = await one.answer_to(type="vote", poll=poll.id, option="2", idempotency_key="k", ref=1)
        assert (other["type"], other["code"], other["vote_id"], other["ref"]) == (
            "error",
            "idempotency_key_reused",
            vote_id,
            1,
        )
        for key in ("", "x" * 256, "\n"):
            answer = await one.answer_to(type="vote", poll=poll.id, option="2", idempotency_key=key, ref=key)
            assert (answer["code"], answer["ref"]) == ("validation_error", key)
    counted(client, poll, 1, 0)


async def test_the_socket_is_the_browsers(system: System, client: Client, browser: Client) -> None:
    poll = create(client, one_vote_per="browser", allow_change=False)
    first = accepted(browser, poll, "1")
    async with socket(system.ws_url, Cookie=str(browser.cookie)) as one:
        assert "Set-Cookie" not in one.headers
        answer = await one.answer_to(type="vote", poll=poll.id, option="2", ref=7)
        assert (answer["code"], answer["vote_id"], answer["ref"]) == ("already_voted", first, 7)
        assert (await one.answer_to(type="vote", poll=poll.id, option="1"))["vote_id"] == first
    counted(client, poll, 1, 0)


async def test_a_socket_without_a_cookie_gets_one(system: System, client: Client) -> None:
    poll = create(client, one_vote_per="browser", allow_change=False)
    async with socket(system.ws_url) as one, socket(system.ws_url, Cookie="voter=forged") as forged:
        set_cookie = one.headers["Set-Cookie"]
        assert "HttpOnly" in set_cookie
        assert "SameSite=Lax" in set_cookie
        first = (await one.answer_to(type="vote", poll=poll.id, option="1"))["vote_id"]
        again = await one.answer_to(type="vote", poll=poll.id, option="2")
        assert again["code"] == "already_voted"
        by_http = vote(client, poll, "2", Cookie=one.cookie)
        assert (by_http.code, by_http.json["vote_id"]) == ("already_voted", first)
        assert forged.cookie != one.cookie
        assert (await forged.answer_to(type="vote", poll=poll.id, option="2"))["vote_id"] != first
    counted(client, poll, 1, 1)


async def test_votes_that_are_refused(system: System, client: Client, poll: Made) -> None:
    closed = create(client)
    client.post(f"{closed.path}/close", **closed.admin).expect(200)
    deleted = create(client)
    client.delete(deleted.path, **deleted.admin).expect(204)
    voters = create(client, one_vote_per="voter")
    async with socket(system.ws_url) as one:
        for poll_id, option, code in (
            (poll.id, "Maybe", "unknown_option"),
            (closed.id, "1", "poll_closed"),
            (deleted.id, "1", "poll_not_found"),
            ("nobody", "1", "poll_not_found"),
            (voters.id, "1", "token_missing"),
        ):
            answer = await one.answer_to(type="vote", poll=poll_id, option=option, ref=code)
            assert (answer["type"], answer["code"], answer["ref"]) == ("error", code, code)
            assert answer["detail"]
        assert await one.is_alive()


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("", "malformed_json"),
        ("{", "malformed_json"),
        ("nonsense", "malformed_json"),
        ('{"type": NaN}', "malformed_json"),
        ("[" * 30_000, "malformed_json"),
        ('{"type": "dance"}', "validation_error"),
        ('{"type": "vote", "poll": "p"', "malformed_json"),
        ("[]", "validation_error"),
        ("null", "validation_error"),
        ('"ping"', "validation_error"),
        ("{}", "validation_error"),
        ('{"type": 5}', "validation_error"),
        ('{"type": "ping", "more": 1}', "validation_error"),
        ('{"type": "subscribe"}', "validation_error"),
        ('{"type": "subscribe", "poll": 5}', "validation_error"),
        ('{"type": "subscribe", "leaderboard": false}', "validation_error"),
        ('{"type": "subscribe", "poll": "p", "leaderboard": true}', "validation_error"),
        ('{"type": "vote", "poll": "p"}', "validation_error"),
        ('{"type": "vote", "poll": "p", "option": 1}', "validation_error"),
        ('{"type": "vote", "poll": "p", "option": "1", "voter": "ann"}', "validation_error"),
        ('{"type": "subscribe", "poll": "nobody"}', "poll_not_found"),
        ('{"type": "subscribe", "poll": ""}', "poll_not_found"),
        ('{"type": "subscribe", "poll": "\\u0000"}', "poll_not_found"),
        (json.dumps({"type": "subscribe", "poll": "x" * 60_000}), "poll_not_found"),
        (b"\x00\x01", "unsupported_media_type"),
        (b'{"type": "ping"}', "unsupported_media_type"),
        (b"", "unsupported_media_type"),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_one_bad_frame_closes_nothing(system: System, frame: str | bytes, code: str) -> None:
    async with socket(system.ws_url) as one:
        await one.send(frame)
        answer = await one.answer()
        assert (answer["type"], answer["code"]) == ("error", code)
        assert answer["detail"]
        assert await one.is_alive()


async def test_a_bad_frame_gets_its_ref_back(system: System) -> None:
    async with socket(system.ws_url) as one:
        answer = await one.answer_to(type="dance", ref={"n": 1})
        assert answer["ref"] == {"n": 1}
        answer = await one.answer_to(type="dance")
        assert "ref" not in answer


@pytest.mark.parametrize("size", [65_537, 1_000_000])
@pytest.mark.parametrize("binary", [False, True])
async def test_a_frame_over_the_limit_closes(system: System, size: int, binary: bool) -> None:
    async with socket(system.ws_url) as one:
        await one.send(b"x" * size if binary else "x" * size)
        assert await one.close_code() == 1009


async def test_a_frame_at_the_limit_does_not(system: System) -> None:
    async with socket(system.ws_url) as one:
        await one.send('{"type": "ping"}'.ljust(65_536))
        assert await one.answer() == {"type": "pong"}


async def refusal(url: str, **headers: str) -> HTTPClientError:
    with pytest.raises(HTTPClientError) as caught:
        async with socket(url, **headers):
            pass
    return caught.value


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", "file://"])
async def test_a_foreign_page_may_not_use_the_cookie(system: System, browser: Client, poll: Made, origin: str) -> None:
    accepted(browser, poll)
    refused = await refusal(system.ws_url, Cookie=str(browser.cookie), Origin=origin)
    assert refused.code == 403
    assert refused.response is not None
    assert json.loads(refused.response.body)["code"] == "origin_forbidden"
    async with socket(system.ws_url, Origin=origin) as one:
        assert await one.is_alive(), "without the cookie it is nobody's"


async def test_our_own_page_may(system: System, strict_door: System, browser: Client, poll: Made) -> None:
    accepted(browser, poll)
    async with socket(system.ws_url, Cookie=str(browser.cookie), Origin=system.url) as one:
        assert await one.is_alive()
    strict_url = strict_door.url_of("api-guarded").replace("http", "ws")
    async with socket(strict_url, Cookie=str(browser.cookie), Origin="https://example.org") as one:
        assert await one.is_alive(), "an origin that the settings allow"


async def test_what_is_no_handshake(system: System, client: Client) -> None:
    answer = client.get("/", Upgrade="websocket")
    assert (answer.status, answer.code) == (400, "validation_error")
    answer = client.get(
        "/", Upgrade="websocket", Connection="Upgrade", Sec_WebSocket_Key="x", Sec_WebSocket_Version="7"
    )
    assert answer.status == 426
    assert answer.headers["Sec-WebSocket-Version"] == "13"
    assert client.get("/api/polls", Upgrade="websocket", Connection="Upgrade").status == 200, "only at the root"


async def test_revisions_never_go_back_and_the_last_is_sent(system: System, client: Client, poll: Made) -> None:
    """Under load: whole snapshots, at most one in 100 ms, and all sockets end with the same."""
    began = time.monotonic()
    async with socket(f"{system.ws_url}?poll={poll.id}") as one, socket(f"{system.ws_url}?poll={poll.id}") as other:
        for socket_ in (one, other):
            await socket_.hear_of("results")
        hearing = [asyncio.create_task(s.hear_of("results", total(1200))) for s in (one, other)]
        for number in range(60):
            lines = [{"option": str(1 + (number + line) % 2)} for line in range(20)]
            await asyncio.to_thread(lambda lines=lines: batch(client, poll, lines).expect(202))  # type: ignore[misc]
        ends = await asyncio.gather(*hearing)
        took = time.monotonic() - began
    assert ends[0] == ends[1]
    assert [option["votes"] for option in ends[0]["options"]] == [600, 600]
    for socket_ in (one, other):
        frames = [frame for frame in socket_.heard if frame["type"] == "results"]
        revisions = [frame["revision"] for frame in frames]
        assert revisions == sorted(set(revisions)), "nothing is sent where nothing changed"
        assert len(frames) <= took / 0.1 + 2, "conflated"
        assert all(_is_whole(frame) for frame in frames)
    assert client.get(poll.path).expect(200)["revision"] == ends[0]["revision"]


def _is_whole(frame: Frame) -> bool:
    votes = [option["votes"] for option in frame["options"]]
    shares = [option["share"] for option in frame["options"]]
    whole = sum(votes)
    return frame["total_votes"] == whole and shares == [vote / whole if whole else 0 for vote in votes]


async def test_a_poll_that_closes_and_becomes_final(system: System, client: Client, poll: Made) -> None:
    accepted(client, poll)
    async with socket(f"{system.ws_url}?poll={poll.id}") as one:
        await one.hear_of("results", total(1))
        client.post(f"{poll.path}/close", **poll.admin).expect(200)
        closed = await one.hear_of("results", lambda frame: frame["status"] == "closed")
        assert closed["total_votes"] == 1
        final = await one.hear_of("results", lambda frame: frame["final"])
        assert final["revision"] > closed["revision"]


async def test_a_deleted_poll(system: System, client: Client, poll: Made) -> None:
    async with socket(f"{system.ws_url}?poll={poll.id}") as one, socket(system.ws_url) as late:
        await one.hear_of("results")
        client.delete(poll.path, **poll.admin).expect(204)
        assert await one.answer() == {"type": "deleted", "poll_id": poll.id}
        answer = await late.answer_to(type="subscribe", poll=poll.id)
        assert answer["code"] == "poll_not_found"
        assert await one.is_alive()


async def test_many_polls_on_one_socket(system: System, client: Client) -> None:
    polls = [create(client, listed=False) for _ in range(20)]
    async with socket(system.ws_url) as one:
        for poll in polls:
            await one.say(type="subscribe", poll=poll.id)
        seen: set[str] = set()
        while len(seen) < len(polls):
            seen.add((await one.hear_of("results"))["poll_id"])
        for poll in polls:
            accepted(client, poll)
        waiting = {poll.id for poll in polls}
        while waiting:
            waiting.discard((await one.hear_of("results", total(1)))["poll_id"])


async def test_more_polls_than_a_socket_may_watch(system: System) -> None:
    async with socket(system.ws_url) as one:
        limit = (await one.hear_of("welcome"))["limits"]["subscriptions"]
        assert limit == 1000


async def test_all_doors_show_the_same(system: System, strict_door: System, client: Client, poll: Made) -> None:
    strict_url = strict_door.url_of("api-guarded").replace("http", "ws")
    async with socket(f"{strict_url}/?poll={poll.id}") as far:
        await far.hear_of("results")
        accepted(client, poll)
        await far.hear_of("results", total(1))


async def test_a_socket_over_its_allowance_is_held_back(system: System, strict_door: System) -> None:
    strict_url = strict_door.url_of("api-guarded").replace("http", "ws")
    async with socket(strict_url) as one:
        codes: list[Any] = []
        while "rate_limited" not in codes:
            # Sent slowly, 700 are not too many; then 700 more are.
            for _ in range(700):
                await one.say(type="ping")
            codes = [(await one.answer()).get("code") for _ in range(700)]
        assert await one.is_alive(), "it is held back, not closed"


async def test_browsers_that_leave_without_a_word(system: System, client: Client, poll: Made) -> None:
    handshake = (
        f"GET /?poll={poll.id} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    for number in range(20):
        with tcp.create_connection((client.host, client.port), 30) as connection:
            connection.sendall(handshake.encode())
            assert connection.recv(100).startswith(b"HTTP/1.1 101 ")
            if number % 2:
                # A reset instead of an end.
                connection.setsockopt(tcp.SOL_SOCKET, tcp.SO_LINGER, struct.pack("ii", 1, 0))
    accepted(client, poll)
    async with socket(f"{system.ws_url}?poll={poll.id}") as one:
        await one.hear_of("results", total(1))


async def test_a_slow_reader_gets_the_newest(system: System, client: Client, poll: Made) -> None:
    """It reads nothing for a while, and then sees a few old frames and the last."""
    async with socket(f"{system.ws_url}?poll={poll.id}") as one:
        for _ in range(10):
            batch(client, poll, [{"option": "1"}] * 10).expect(202)
        counted(client, poll, 100, 0)
        await one.hear_of("results", total(100))
