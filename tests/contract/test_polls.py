"""The contract's tests: polls: create, list, read, close, delete."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.http import Client
from support.polls import Made, accepted, closing_soon, counted, create, decided, final, is_over, results, vote
from support.system import System
from support.waiting import until

POLL = {
    "id",
    "question",
    "options",
    "total_votes",
    "status",
    "final",
    "one_vote_per",
    "allow_change",
    "listed",
    "created_at",
    "closes_at",
    "revision",
}

SLACK = 2.0
"""Seconds beyond what is promised, for a machine that is busy with other things."""

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def soon(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def until_closed(poll: Made) -> None:
    """Waits until its time is over by a quarter of a second: what is read may trail by 200 ms."""
    until(lambda: is_over(poll.answer["closes_at"], 0.25), "the poll's time is over")


def test_the_briefs_own_request(client: Client) -> None:
    body = {"question": "What is your favorite programming language?", "options": ["JavaScript", "Python", "Java"]}
    answer = client.post("/api/polls", body)
    made = answer.expect(201)
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.headers["Location"] == f"/api/polls/{made['id']}"
    assert set(made) == POLL | {"admin_token"}
    assert TIME.fullmatch(made["created_at"])
    assert {name: made[name] for name in POLL - {"id", "created_at"}} == {
        "question": body["question"],
        "options": [
            {"id": "1", "text": "JavaScript", "votes": 0, "share": 0},
            {"id": "2", "text": "Python", "votes": 0, "share": 0},
            {"id": "3", "text": "Java", "votes": 0, "share": 0},
        ],
        "total_votes": 0,
        "status": "open",
        "final": False,
        "one_vote_per": None,
        "allow_change": True,
        "listed": True,
        "closes_at": None,
        "revision": 0,
    }


def test_the_admin_token_is_shown_only_once(client: Client, poll: Made) -> None:
    assert len(poll.token) >= 20
    read = client.get(poll.path)
    assert set(read.expect(200)) == POLL
    assert poll.token.encode() not in read.body
    assert poll.token.encode() not in client.get("/api/polls?limit=100").body


def test_ids_are_safe_in_a_url(client: Client) -> None:
    ids = {create(client).id for _ in range(5)}
    assert len(ids) == 5
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{16,}", one) for one in ids)


def test_everything_that_creation_takes(client: Client) -> None:
    closes = (datetime.now(UTC) + timedelta(hours=1)).replace(microsecond=0)
    offset = closes.isoformat().replace("+00:00", "Z")
    poll = create(client, one_vote_per="browser", allow_change=False, listed=False, closes_at=offset)
    read = results(client, poll)
    assert (read["one_vote_per"], read["allow_change"], read["listed"]) == ("browser", False, False)
    assert datetime.fromisoformat(read["closes_at"]) == closes
    assert TIME.fullmatch(read["closes_at"])
    assert create(client, one_vote_per="voter", closes_at=None).answer["one_vote_per"] == "voter"


def test_a_time_with_an_offset_is_told_in_utc(client: Client) -> None:
    poll = create(client, closes_at="2099-06-01T12:30:00.5+02:30")
    assert datetime.fromisoformat(poll.answer["closes_at"]) == datetime(2099, 6, 1, 10, 0, 0, 500_000, UTC)
    assert poll.answer["closes_at"].endswith("Z")


def test_texts_are_trimmed_and_composed(client: Client) -> None:
    poll = create(client, "  Cafe\u0301 ", "Tea", question=" What? ")
    assert poll.answer["question"] == "What?"
    assert [option["text"] for option in poll.answer["options"]] == ["Café", "Tea"]


def test_the_limits_themselves_are_allowed(client: Client) -> None:
    options = [f"{number:03}{'ü' * 197}" for number in range(100)]
    poll = create(client, *options, question="q" * 500)
    assert [option["text"] for option in poll.answer["options"]] == options
    assert poll.answer["options"][99]["id"] == "100"
    accepted(client, poll, "100")


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"question": ""}, "#/question"),
        ({"question": "  "}, "#/question"),
        ({"question": "q" * 501}, "#/question"),
        ({"question": 5}, "#/question"),
        ({"question": "a\0b"}, "#/question"),
        ({"options": ["a"]}, "#/options"),
        ({"options": [str(n) for n in range(101)]}, "#/options"),
        ({"options": "ab"}, "#/options"),
        ({"options": ["a", ""]}, "#/options/1"),
        ({"options": ["a", "x" * 201]}, "#/options/1"),
        ({"options": ["a", "b", " a "]}, "#/options/2"),
        ({"options": ["é", "e\u0301"]}, "#/options/1"),
        ({"options": ["a", None]}, "#/options/1"),
        ({"closes_at": "2020-01-01T00:00:00Z"}, "#/closes_at"),
        ({"closes_at": "2099-01-01T00:00:00"}, "#/closes_at"),
        ({"closes_at": "tomorrow"}, "#/closes_at"),
        ({"closes_at": 4102444800}, "#/closes_at"),
        ({"closes_at": "9999-12-31T23:59:59-12:00"}, "#/closes_at"),
        ({"one_vote_per": "person"}, "#/one_vote_per"),
        ({"allow_change": 1}, "#/allow_change"),
        ({"listed": "yes"}, "#/listed"),
        ({"color": "red"}, "#/color"),
    ],
)
def test_bodies_that_are_refused_with_a_pointer(client: Client, fields: dict[str, Any], pointer: str) -> None:
    answer = client.post("/api/polls", {"question": "q", "options": ["a", "b"], **fields})
    assert (answer.status, answer.code) == (422, "validation_error")
    assert [error["pointer"] for error in answer.json["errors"]] == [pointer]
    assert all(error["detail"] for error in answer.json["errors"])


def test_every_fault_is_told_at_once(client: Client) -> None:
    answer = client.post("/api/polls", {"options": 1, "listed": 2, "more": 3})
    assert answer.status == 422
    pointers = {error["pointer"] for error in answer.json["errors"]}
    assert pointers == {"#/question", "#/options", "#/listed", "#/more"}


def test_the_list_has_listed_polls_newest_first(client: Client) -> None:
    made = [create(client, question=f"number {number}") for number in range(3)]
    hidden = create(client, listed=False)
    answer = client.get("/api/polls").expect(200)
    assert set(answer) == {"data", "next_cursor"}
    assert [poll["id"] for poll in answer["data"][:3]] == [poll.id for poll in reversed(made)]
    assert hidden.id not in [poll["id"] for poll in answer["data"]]
    assert all(set(poll) == POLL and poll["listed"] for poll in answer["data"])
    assert len(answer["data"]) <= 50
    assert results(client, hidden)["id"] == hidden.id


def test_the_list_goes_on_by_its_cursor(client: Client) -> None:
    made = [create(client).id for _ in range(5)]
    first = client.get("/api/polls?limit=2").expect(200)
    second = client.get(f"/api/polls?limit=2&cursor={first['next_cursor']}").expect(200)
    create(client)
    third = client.get(f"/api/polls?limit=2&cursor={second['next_cursor']}").expect(200)
    ids = [poll["id"] for page in (first, second, third) for poll in page["data"]]
    assert ids[:5] == made[::-1], "a poll that is made meanwhile moves nothing"


def test_the_list_ends(client: Client) -> None:
    create(client)
    seen: list[str] = []
    path = "/api/polls?limit=100"
    cursor: str | None = ""
    while cursor is not None:
        page = client.get(path + (f"&cursor={cursor}" if cursor else "")).expect(200)
        seen += [poll["id"] for poll in page["data"]]
        cursor = page["next_cursor"]
    assert len(seen) == len(set(seen))


def test_the_list_by_status(client: Client) -> None:
    open_, closed = create(client), create(client)
    client.post(f"{closed.path}/close", **closed.admin).expect(200)
    for status, wanted, other in (("open", open_, closed), ("closed", closed, open_)):
        found = client.get(f"/api/polls?status={status}&limit=100").expect(200)["data"]
        assert {poll["status"] for poll in found} == {status}
        assert wanted.id in [poll["id"] for poll in found]
        assert other.id not in [poll["id"] for poll in found]


def test_a_deleted_poll_is_not_listed(client: Client) -> None:
    poll = create(client)
    client.delete(poll.path, **poll.admin).expect(204)
    assert poll.id not in [one["id"] for one in client.get("/api/polls").expect(200)["data"]]


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=101", "limit=-1", "limit=ten", "limit=1.5", "limit=", "limit=%00", "limit=٣"),
        *("cursor=nonsense", "cursor=", "cursor=%00", "cursor=%ff", "status=shut", "status="),
    ],
)
def test_queries_that_are_refused(client: Client, query: str) -> None:
    answer = client.request(
        "GET", f"/api/polls?{query.encode().decode('latin-1')}" if query.isascii() else "/api/polls?limit=%D9%A3"
    )
    assert (answer.status, answer.code) == (422, "validation_error")
    assert answer.json["errors"][0]["pointer"] == "#/" + query.partition("=")[0]


def test_the_etag_is_the_revision(client: Client, poll: Made) -> None:
    answer = client.get(poll.path)
    assert answer.headers["ETag"] == '"0"'
    assert answer.json["revision"] == 0
    accepted(client, poll)
    read = counted(client, poll, 1, 0)
    answer = client.get(poll.path)
    assert answer.headers["ETag"] == f'"{read["revision"]}"'
    assert read["revision"] > 0


@pytest.mark.parametrize("known", ['"0"', 'W/"0"', '"7", "0"', "*", ' "0" '])
def test_what_is_known_is_not_sent_again(client: Client, poll: Made, known: str) -> None:
    answer = client.get(poll.path, If_None_Match=known)
    assert (answer.status, answer.body) == (304, b"")
    assert answer.headers["ETag"] == '"0"'


@pytest.mark.parametrize("known", ['"1"', "0", '"00"', ""])
def test_what_is_not_known_is_sent(client: Client, poll: Made, known: str) -> None:
    assert client.get(poll.path, If_None_Match=known).status == 200


def test_after_a_vote_the_known_revision_is_old(client: Client, poll: Made) -> None:
    accepted(client, poll)
    counted(client, poll, 1, 0)
    assert client.get(poll.path, If_None_Match='"0"').status == 200


def test_a_poll_past_its_time_is_never_304_until_its_revision_moved(client: Client) -> None:
    poll = next(closing_soon(client))
    until_closed(poll)

    def moved() -> bool:
        answer = client.get(poll.path, If_None_Match='"0"')
        assert answer.status == 200, "the reader would take the poll for open"
        assert answer.json["status"] == "closed"
        return bool(answer.json["revision"] > 0)

    until(moved, "the closing has raised the revision")
    closed = final(client, poll)
    assert client.get(poll.path, If_None_Match=f'"{closed["revision"]}"').status == 304


def test_a_poll_closes_by_itself(client: Client) -> None:
    for poll in closing_soon(client):
        answer = vote(client, poll)
        if not is_over(poll.answer["closes_at"]):
            break
    vote_id = answer.expect(202)["vote_id"]
    until_closed(poll)
    assert results(client, poll)["status"] == "closed", "whether it is open is computed when it is read"
    refused = vote(client, poll)
    assert (refused.status, refused.code) == (409, "poll_closed")
    closed = final(client, poll)
    assert (closed["total_votes"], closed["closes_at"]) == (1, poll.answer["closes_at"])
    assert decided(client, poll, vote_id)["status"] == "counted"


def test_closing_by_hand(client: Client, poll: Made) -> None:
    accepted(client, poll)
    before = counted(client, poll, 1, 0)
    closed = client.post(f"{poll.path}/close", **poll.admin).expect(200)
    assert set(closed) == POLL
    assert closed["status"] == "closed"
    assert closed["revision"] > before["revision"]
    assert abs(datetime.fromisoformat(closed["closes_at"]) - datetime.now(UTC)) < timedelta(minutes=1)
    assert results(client, poll)["status"] == "closed"
    refused = vote(client, poll)
    assert (refused.status, refused.code) == (409, "poll_closed")
    last = final(client, poll)
    assert last["revision"] > closed["revision"]
    assert last["total_votes"] == 1


def test_closing_a_closed_poll_answers_200_again(client: Client, poll: Made) -> None:
    first = client.post(f"{poll.path}/close", **poll.admin).expect(200)
    again = client.post(f"{poll.path}/close", **poll.admin).expect(200)
    assert again["closes_at"] == first["closes_at"]
    due = next(closing_soon(client))
    until_closed(due)
    assert client.post(f"{due.path}/close", **due.admin).expect(200)["closes_at"] == due.answer["closes_at"]


def test_a_poll_with_a_time_may_be_closed_before_it(client: Client) -> None:
    poll = create(client, closes_at=soon(3600))
    closed = client.post(f"{poll.path}/close", **poll.admin).expect(200)
    assert closed["closes_at"] < poll.answer["closes_at"]


def test_a_vote_accepted_before_the_closing_counts(client: Client, poll: Made, system: System) -> None:
    with system.frozen("bridge"):
        vote_id = accepted(client, poll)
        client.post(f"{poll.path}/close", **poll.admin).expect(200)
    assert decided(client, poll, vote_id)["status"] == "counted"
    assert final(client, poll)["total_votes"] == 1


def test_deleting(client: Client, poll: Made) -> None:
    vote_id = accepted(client, poll)
    decided(client, poll, vote_id)
    answer = client.delete(poll.path, **poll.admin)
    assert (answer.status, answer.body) == (204, b"")
    for gone in (
        client.get(poll.path),
        vote(client, poll),
        client.post(f"{poll.path}/close", **poll.admin),
        client.delete(poll.path, **poll.admin),
        client.get(f"{poll.path}/votes/{'A' * 32}"),
    ):
        assert (gone.status, gone.code) == (404, "poll_not_found")
    state = client.get(f"{poll.path}/votes/{vote_id}").expect(200)
    assert (state["status"], state["option"]["text"]) == ("counted", "Yes")


def test_votes_under_way_to_a_deleted_poll_are_rejected(client: Client, poll: Made, system: System) -> None:
    with system.frozen("bridge"):
        vote_id = accepted(client, poll, "2")
        client.delete(poll.path, **poll.admin).expect(204)
    assert decided(client, poll, vote_id) == {
        "vote_id": vote_id,
        "status": "rejected",
        "option": None,
        "rejected": [{"option": {"id": "2", "text": "No"}, "reason": "poll_deleted"}],
    }


@pytest.mark.parametrize("what", ["close", "delete"])
@pytest.mark.parametrize(
    ("header", "status", "code"),
    [
        (None, 401, "token_missing"),
        ("", 401, "token_missing"),
        ("Bearer", 401, "token_missing"),
        ("Bearer ", 401, "token_missing"),
        ("Basic dXNlcjpwYXNz", 401, "token_missing"),
        ("Bearer wrong", 403, "token_wrong"),
    ],
)
def test_only_with_the_admin_token(
    client: Client, poll: Made, what: str, header: str | None, status: int, code: str
) -> None:
    method, path = ("POST", f"{poll.path}/close") if what == "close" else ("DELETE", poll.path)
    answer = client.request(method, path, headers={} if header is None else {"Authorization": header})
    assert (answer.status, answer.code) == (status, code)
    assert answer.headers["WWW-Authenticate"] == ("Bearer" if status == 401 else None)
    assert results(client, poll)["status"] == "open"


def test_the_scheme_is_written_in_any_case(client: Client, poll: Made) -> None:
    client.post(f"{poll.path}/close", Authorization=f"bearer {poll.token}").expect(200)


def test_another_polls_token_is_wrong(client: Client, poll: Made) -> None:
    other = create(client)
    answer = client.post(f"{poll.path}/close", **other.admin)
    assert (answer.status, answer.code) == (403, "token_wrong")


def test_all_doors_know_of_a_closing_within_a_second(client: Client, strict: Client) -> None:
    def took() -> float:
        poll = create(client)
        accepted(strict, poll)
        client.post(f"{poll.path}/close", **poll.admin).expect(200)
        began = time.monotonic()
        until(lambda: vote(strict, poll).status == 409, "the other door knows that the poll is closed")
        return time.monotonic() - began

    assert any(took() < 1 + SLACK for _ in range(3)), "not once in time"


def test_a_poll_is_known_at_all_doors(client: Client, strict: Client) -> None:
    poll = create(client)
    assert results(strict, poll)["question"] == poll.answer["question"]
    accepted(strict, poll)
    counted(client, poll, 1, 0)
