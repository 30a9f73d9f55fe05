"""The socket, by the contract's WebSocket section, on real servers."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from socket_door import Client, Door, until
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from websocket.allowance import Allowance


async def test_life_at_once(door: Door) -> None:
    client = await door.connect(welcome=False)
    welcome = await client.hear()
    assert welcome["type"] == "welcome"
    assert welcome["protocol"] == 1
    board = await client.hear()
    assert board["type"] == "leaderboard"
    assert {"updated_at", "entries"} <= board.keys()


async def test_a_snapshot_and_then_each_change(door: Door) -> None:
    poll = await door.poll("A", "B")
    door.store_count(poll, 3, 2, 1)
    client = await door.connect()
    await client.say(type="subscribe", poll=poll.id)
    assert await client.hear() == {
        "type": "results",
        "poll_id": poll.id,
        "revision": 3,
        "total_votes": 3,
        "status": "open",
        "final": False,
        "options": [
            {"id": "1", "text": "A", "votes": 2, "share": 2 / 3},
            {"id": "2", "text": "B", "votes": 1, "share": 1 / 3},
        ],
    }
    door.count(poll, 4, 3, 1)
    assert (await client.hear_of("results"))["revision"] == 4
    door.count(poll, 4, 3, 1)
    await client.silence(0.3)


async def test_the_address_may_name_polls(door: Door) -> None:
    poll, other = await door.poll(), await door.poll()
    client = await door.connect(f"?poll={poll.id}&poll={other.id}")
    heard = {(await client.hear_of("results"))["poll_id"] for _ in range(2)}
    assert heard == {poll.id, other.id}


async def test_the_revision_never_goes_back(door: Door) -> None:
    poll = await door.poll()
    door.store_count(poll, 5, 5, 0)
    client = await door.connect(f"?poll={poll.id}")
    assert (await client.hear_of("results"))["revision"] == 5
    results = door.store_count(poll, 6, 6, 0)
    door.publisher.results([door.store_count(poll, 4, 4, 0)])
    door.store_count(poll, 6, 6, 0)
    door.publisher.results([results])
    assert (await client.hear_of("results"))["revision"] == 6


async def test_a_burst_is_conflated_and_its_last_state_sent(door: Door) -> None:
    poll = await door.poll()
    client = await door.connect(f"?poll={poll.id}")
    await client.hear_of("results")
    for revision in range(1, 101):
        results = door.store_count(poll, revision, revision, 0)
        door.publisher.results([results])
    frames = [await client.hear_of("results")]
    while frames[-1]["revision"] < 100:
        frames.append(await client.hear_of("results"))
    assert len(frames) < 60
    revisions = [frame["revision"] for frame in frames]
    assert revisions == sorted(set(revisions))
    assert all(frame["total_votes"] == frame["revision"] for frame in frames)


async def test_who_comes_later_gets_the_newest_and_nothing_twice(door: Door) -> None:
    poll = await door.poll()
    first = await door.connect(f"?poll={poll.id}")
    await first.hear_of("results")
    door.count(poll, 1, 1, 0)
    await first.hear_of("results", lambda frame: frame["revision"] == 1)
    for revision in range(2, 6):
        door.count(poll, revision, revision, 0)
    second = await door.connect(f"?poll={poll.id}")
    seen = [(await second.hear_of("results"))["revision"]]
    while seen[-1] < 5:
        seen.append((await second.hear_of("results"))["revision"])
    assert seen == sorted(set(seen))
    await second.silence(0.3)


async def test_unsubscribed_is_silent_and_may_come_back(door: Door) -> None:
    poll = await door.poll()
    client, other = await door.connect(f"?poll={poll.id}"), await door.connect(f"?poll={poll.id}")
    await client.hear_of("results")
    await other.hear_of("results")
    await client.say(type="unsubscribe", poll=poll.id)
    assert await client.hear() == {"type": "unsubscribed", "poll": poll.id}
    door.count(poll, 1, 1, 0)
    await other.hear_of("results", lambda frame: frame["revision"] == 1)
    await client.silence(0.2)
    await client.say(type="subscribe", poll=poll.id)
    assert (await client.hear())["revision"] == 1


async def test_the_leaderboard_goes_off_and_on(door: Door) -> None:
    client = await door.connect()
    await client.say(type="unsubscribe", leaderboard=True)
    assert await client.hear() == {"type": "unsubscribed", "leaderboard": True}
    await client.say(type="subscribe", leaderboard=True)
    assert (await client.hear())["type"] == "leaderboard"


async def test_the_leaderboard_is_pushed_where_it_changed(door: Door) -> None:
    poll = await door.poll("Red", "Blue")
    client, deaf = await door.connect(), await door.connect()
    await deaf.say(type="unsubscribe", leaderboard=True)
    await deaf.hear_of("unsubscribed")
    door.store_count(poll, 1, 900_000, 100_000)
    for _ in range(3):
        board = await door.services.store.leaderboard(100)
        door.publisher.leaderboard(board, changed=True)
    told = await client.hear()
    assert told["entries"][0] == {
        "rank": 1,
        "poll_id": poll.id,
        "question": "Q?",
        "option": {"id": "1", "text": "Red"},
        "votes": 900_000,
        "share": 0.9,
    }
    await client.silence(0.3)
    await deaf.silence(0.1)
    late = await door.connect(welcome=False)
    await late.hear_of("welcome")
    assert (await late.hear())["entries"] == told["entries"]


async def test_a_vote(door: Door) -> None:
    poll = await door.poll("A", "B")
    client = await door.connect()
    for option, ref in (("A", {"n": 1}), ("2", None), ("B", "again")):
        await client.say(type="vote", poll=poll.id, option=option, ref=ref)
        answer = await client.hear()
        assert answer == {"type": "vote", "ref": ref, "status": "accepted", "vote_id": answer["vote_id"]}
        assert len(answer["vote_id"]) == 32


async def test_many_votes_in_flight_each_with_its_ref(door: Door) -> None:
    poll = await door.poll()
    client = await door.connect()
    for number in range(300):
        await client.say(type="vote", poll=poll.id, option="A" if number % 3 else "Z", ref=number)
    answers = {}
    for _ in range(300):
        answer = await client.hear()
        answers[answer["ref"]] = answer.get("code") or answer["status"]
    assert answers == {number: "accepted" if number % 3 else "unknown_option" for number in range(300)}


async def test_a_key_makes_a_retry_the_same_vote(door: Door) -> None:
    poll = await door.poll()
    client = await door.connect()

    async def vote(option: str, key: str) -> Any:
        await client.say(type="vote", poll=poll.id, option=option, ref=1, idempotency_key=key)
        return await client.hear()

    first = await vote("A", "key")
    assert await vote("A", "key") == first
    assert (await vote("B", "key"))["code"] == "idempotency_key_reused"
    assert (await vote("B", "other"))["vote_id"] != first["vote_id"]
    for bad in ("", "x" * 256, "a\nb"):
        assert (await vote("A", bad))["code"] == "validation_error"


async def test_one_vote_per_browser_is_the_cookies(door: Door) -> None:
    poll = await door.poll("A", "B", one_vote_per="browser", allow_change=False)
    client = await door.connect()
    cookie = client.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    same = await door.connect(Cookie=cookie.partition(";")[0])
    assert "Set-Cookie" not in same.headers
    stranger = await door.connect(Cookie="voter=forged")
    assert "Set-Cookie" in stranger.headers
    votes = []
    for voter, option in ((client, "A"), (same, "A"), (same, "B"), (stranger, "B")):
        await voter.say(type="vote", poll=poll.id, option=option)
        votes.append(await voter.hear())
    assert votes[0]["vote_id"] == votes[1]["vote_id"]
    assert votes[2]["code"] == "already_voted"
    assert votes[2]["vote_id"] == votes[0]["vote_id"]
    assert votes[3]["vote_id"] != votes[0]["vote_id"]


async def test_one_vote_per_voter_is_no_matter_for_a_socket(door: Door) -> None:
    poll = await door.poll("A", "B", one_vote_per="voter")
    client = await door.connect()
    await client.say(type="vote", poll=poll.id, option="A", ref=[7])
    error = await client.hear()
    assert (error["type"], error["code"], error["ref"]) == ("error", "token_missing", [7])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "malformed_json"),
        ("[]", "validation_error"),
        ('{"type":"dance"}', "validation_error"),
        ('{"type":"ping","extra":1}', "validation_error"),
        ('{"type":"subscribe","poll":"no such poll"}', "poll_not_found"),
        ('{"type":"subscribe","poll":"\\u0000"}', "poll_not_found"),
        ('{"type":"subscribe","poll":"' + "x" * 60000 + '"}', "poll_not_found"),
        ('{"type":"vote","poll":"no such poll","option":"A"}', "poll_not_found"),
        ('{"type":"vote","poll":"\\u0000","option":"A"}', "poll_not_found"),
    ],
)
async def test_a_bad_frame_gets_an_error_and_the_socket_stays(door: Door, text: str, code: str) -> None:
    client = await door.connect()
    await client.connection.write_message(text)
    error = await client.hear()
    assert (error["type"], error["code"]) == ("error", code)
    await client.say(type="ping")
    assert await client.hear() == {"type": "pong"}


async def test_binary_and_invalid_utf_8(door: Door) -> None:
    client = await door.connect()
    await client.connection.write_message(b'{"type":"ping"}', binary=True)
    assert (await client.hear())["code"] == "unsupported_media_type"
    protocol = client.connection.protocol
    assert protocol
    protocol._write_frame(True, 0x1, b'{"type":"p\xff"}')  # type: ignore[attr-defined]
    assert (await client.hear())["code"] == "malformed_json"
    await client.say(type="ping")
    assert await client.hear() == {"type": "pong"}


async def test_the_largest_frame_and_one_that_is_too_large(door: Door) -> None:
    client = await door.connect()
    frame = json.dumps({"type": "ping"})
    await client.connection.write_message(frame + " " * (65536 - len(frame)))
    assert await client.hear() == {"type": "pong"}
    for size in (65537, 1_000_000, 8_000_000):
        client = await door.connect()
        client.connection.write_message("x" * size)
        assert await client.closed() == 1009


async def test_a_closed_poll_refuses_votes_and_is_shown(door: Door) -> None:
    poll = await door.poll()
    client = await door.connect(f"?poll={poll.id}")
    await client.hear_of("results")
    door.services.book.put(await door.services.store.close_poll(poll))
    assert (await client.hear_of("results", lambda frame: frame["status"] == "closed"))["final"] is False
    await client.say(type="vote", poll=poll.id, option="A", ref=1)
    assert (await client.hear_of("error"))["code"] == "poll_closed"


async def test_a_deleted_poll_says_so_and_is_gone(door: Door) -> None:
    poll = await door.poll()
    client = await door.connect(f"?poll={poll.id}")
    await client.hear_of("results")
    await door.services.store.delete_poll(poll)
    assert await client.hear() == {"type": "deleted", "poll_id": poll.id}
    await client.say(type="subscribe", poll=poll.id)
    assert (await client.hear())["code"] == "poll_not_found"


async def test_a_socket_watches_so_many_polls(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("websocket.handler.MAX_SUBSCRIPTIONS", 2)
    polls = [await door.poll() for _ in range(3)]
    client = await door.connect()
    answers = []
    for poll in polls:
        await client.say(type="subscribe", poll=poll.id)
        answers.append(await client.hear())
    assert [answer["type"] for answer in answers] == ["results", "results", "error"]
    assert answers[2]["code"] == "validation_error"
    await client.say(type="unsubscribe", poll=polls[0].id)
    await client.hear_of("unsubscribed")
    await client.say(type="subscribe", poll=polls[2].id)
    assert (await client.hear())["poll_id"] == polls[2].id


async def refused(door: Door, **headers: str) -> HTTPClientError:
    with pytest.raises(HTTPClientError) as caught:
        await websocket_connect(
            HTTPRequest(
                f"ws://127.0.0.1:{door.port}/", headers={name.replace("_", "-"): text for name, text in headers.items()}
            )
        )
    return caught.value


async def test_a_foreign_page_may_not_use_the_cookie(door: Door) -> None:
    own = f"http://127.0.0.1:{door.port}"
    cookie = (await door.connect()).headers["Set-Cookie"].partition(";")[0]
    for origin in ("https://elsewhere.example", "null", f"http://127.0.0.1:{door.port + 1}", "http://[", ""):
        error = await refused(door, Cookie=cookie, Origin=origin)
        assert error.code == 403
        assert error.response
        assert error.response.headers["Content-Type"].startswith("application/problem+json")
        assert json.loads(error.response.body)["code"] == "origin_forbidden"
        await door.connect(Origin=origin)
        await door.connect(Origin=origin, Cookie="voter=forged")
    await door.connect(Cookie=cookie, Origin=own)
    await door.connect(Cookie=cookie)


async def test_a_bad_handshake_is_a_problem(door: Door) -> None:
    http = AsyncHTTPClient()
    for headers, status in (
        ({"Connection": "Upgrade", "Sec-WebSocket-Version": "13"}, 400),
        ({"Connection": "Upgrade", "Sec-WebSocket-Version": "8", "Sec-WebSocket-Key": "a" * 22 + "=="}, 426),
        ({"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "a" * 22 + "=="}, 400),
    ):
        response = await http.fetch(
            f"http://127.0.0.1:{door.port}/", headers={"Upgrade": "websocket", **headers}, raise_error=False
        )
        assert response.code == status
        assert json.loads(response.body)["status"] == status
    response = await http.fetch(
        f"http://127.0.0.1:{door.port}/", method="POST", body="", headers={"Upgrade": "websocket"}, raise_error=False
    )
    assert (response.code, response.headers["Allow"]) == (405, "GET")


async def test_a_stop_closes_with_1012_after_the_votes_under_way(door: Door) -> None:
    poll = await door.poll()
    idle, voter = await door.connect(), await door.connect()
    await voter.say(type="vote", poll=poll.id, option="A", ref="last")
    await asyncio.sleep(0)
    await voter.say(type="ping")
    await voter.hear_of("pong")
    closing = door.hub.close()
    assert await idle.closed() == 1012
    assert await voter.closed() == 1012
    await closing
    late = await door.connect(welcome=False)
    assert await late.closed() == 1012


async def test_a_stop_tells_each_socket_when_to_come_back(door: Door) -> None:
    clients = [await door.connect() for _ in range(12)]
    closing = door.hub.close()
    assert [await client.closed() for client in clients] == [1012] * 12
    await closing
    said = [json.loads(client.connection.close_reason or "") for client in clients]
    assert {one["reason"] for one in said} == {"the server restarts"}
    after = [one["reconnect_after_ms"] for one in said]
    assert len(set(after)) > 6, "each at another moment"
    assert all(500 <= one <= 2500 for one in after)


async def test_one_that_sends_too_much_is_told_and_held_back(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("websocket.handler.Allowance", lambda _: Allowance(lambda: now[0], rate=2, burst=5))
    exempt = await door.connect()
    door.services.limits.bucket_of = lambda address: address
    client = await door.connect()
    for number in range(8):
        await client.say(type="ping", ref=number)
        await exempt.say(type="ping")
    heard = [await client.hear() for _ in range(6)]
    assert [frame["code"] for frame in heard] == ["validation_error"] * 5 + ["rate_limited"]
    assert heard[5]["ref"] == 5
    now[0] = 10.0
    assert [(await client.hear())["ref"] for _ in range(2)] == [6, 7], "it is read on after a pause"
    assert [await exempt.hear() for _ in range(8)] == [{"type": "pong"}] * 8


async def test_sockets_come_and_go_and_leave_nothing(door: Door) -> None:
    poll = await door.poll()
    clients: list[Client] = []
    for _ in range(30):
        clients.append(await door.connect(f"?poll={poll.id}"))
    for client in clients:
        await client.hear_of("results")
        client.close()
    for client in clients:
        await client.closed()
    rooms, viewers = door.hub._rooms, door.hub._viewers
    await until(lambda: not rooms and not viewers)
