"""The contract's tests: a poll is changed after it was made, and opened again after it was closed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.http import Answer, Client
from support.polls import Made, accepted, closing_soon, counted, counts, create, decided, final, is_over, results, vote
from support.sockets import socket
from support.system import System
from support.waiting import until


def change(client: Client, poll: Made, **fields: Any) -> Answer:
    return client.request("PATCH", poll.path, fields, headers=poll.admin)


def close(client: Client, poll: Made) -> dict[str, Any]:
    closed = client.post(f"{poll.path}/close", **poll.admin).expect(200)
    assert isinstance(closed, dict)
    return closed


def reopen(client: Client, poll: Made, body: Any = None) -> Answer:
    return client.post(f"{poll.path}/reopen", body, **poll.admin)


def later(hours: float = 1) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()


def test_what_is_named_changes_and_all_else_stays(client: Client, poll: Made) -> None:
    texts = change(client, poll, question=" Which  now? ", options=["Nay ", "Cafe\u0301"]).expect(200)
    assert texts["question"] == "Which  now?"
    assert [option["text"] for option in texts["options"]] == ["Nay", "Café"]
    assert [option["id"] for option in texts["options"]] == ["1", "2"]
    assert texts["revision"] > poll.answer["revision"]
    timed = change(client, poll, closes_at="2099-06-01T12:30:00+02:00").expect(200)
    assert timed["closes_at"] == "2099-06-01T10:30:00Z"
    assert timed["question"] == "Which  now?"
    ruled = change(client, poll, results_visible="after_close").expect(200)
    assert (ruled["results_visible"], ruled["closes_at"]) == ("after_close", timed["closes_at"])
    assert "results_hidden" not in ruled, "whoever made it sees"
    assert change(client, poll, closes_at=None, results_visible="always").expect(200)["closes_at"] is None
    assert set(results(client, poll)) == set(poll.answer) - {"admin_token"}
    assert vote(client, poll, "Nay").status == 202
    assert vote(client, poll, "Yes").code == "unknown_option"


def test_nothing_named_or_nothing_new_is_no_change(client: Client, poll: Made) -> None:
    before = results(client, poll)
    assert change(client, poll).expect(200) == before
    same = {"question": before["question"], "options": ["Yes", "No"], "results_visible": "always"}
    assert change(client, poll, **same).expect(200) == before


@pytest.mark.parametrize(
    ("fields", "pointers"),
    [
        ({"question": " "}, ["#/question"]),
        ({"question": None}, ["#/question"]),
        ({"options": ["Yes"]}, ["#/options", "#/options"]),
        ({"options": ["Yes", "No", "Maybe"]}, ["#/options"]),
        ({"options": ["Yes", "Yes "]}, ["#/options/1"]),
        ({"options": ["", "x" * 201]}, ["#/options/0", "#/options/1"]),
        ({"options": None}, ["#/options"]),
        ({"closes_at": "2020-01-01T00:00:00Z"}, ["#/closes_at"]),
        ({"closes_at": "2099-01-01T00:00:00"}, ["#/closes_at"]),
        ({"results_visible": "never"}, ["#/results_visible"]),
        ({"results_visible": None}, ["#/results_visible"]),
        ({"listed": False}, ["#/listed"]),
        ({"one_vote_per": None, "question": ""}, ["#/one_vote_per"]),
    ],
)
def test_changes_that_are_refused(client: Client, poll: Made, fields: dict[str, Any], pointers: list[str]) -> None:
    answer = change(client, poll, **fields)
    assert (answer.status, answer.code) == (422, "validation_error")
    assert [error["pointer"] for error in answer.json["errors"]] == pointers
    assert results(client, poll)["revision"] == 0


@pytest.mark.parametrize(("method", "path"), [("PATCH", ""), ("POST", "/reopen")])
def test_only_whoever_made_it_may(client: Client, poll: Made, method: str, path: str) -> None:
    def asked(**headers: str) -> Answer:
        return client.request(method, f"{poll.path}{path}", {"closes_at": None}, headers=headers)

    missing = asked()
    assert (missing.status, missing.code, missing.headers["WWW-Authenticate"]) == (401, "token_missing", "Bearer")
    assert asked(Authorization=f"Bearer {create(client).token}").code == "token_wrong"
    nobody = client.request(method, f"/api/polls/nobody{path}", {"closes_at": None}, headers=poll.admin)
    assert (nobody.status, nobody.code) == (404, "poll_not_found")
    client.delete(poll.path, **poll.admin).expect(204)
    gone = client.request(method, f"{poll.path}{path}", {"closes_at": None}, headers=poll.admin)
    assert (gone.status, gone.code) == (404, "poll_not_found")


def test_bodies_that_are_none(client: Client, poll: Made) -> None:
    assert client.request("PATCH", poll.path, headers=poll.admin).code == "malformed_json"
    typed = {**poll.admin, "Content-Type": "text/plain"}
    assert client.request("PATCH", poll.path, body=b"{}", headers=typed).code == "unsupported_media_type"
    assert client.request("POST", f"{poll.path}/reopen", body=b"{}", headers=typed).code == "unsupported_media_type"
    assert reopen(client, poll, {"closes_at": "2020-01-01T00:00:00Z"}).code == "validation_error"
    assert reopen(client, poll, {"when": None}).code == "validation_error"


def test_options_stay_once_a_vote_is_counted(client: Client, poll: Made) -> None:
    accepted(client, poll, "2")
    counted(client, poll, 0, 1)
    answer = change(client, poll, options=["No", "Yes"])
    assert (answer.status, answer.code) == (409, "poll_has_votes")
    both = change(client, poll, options=["No", "Yes"], question="Another?")
    assert both.code == "poll_has_votes"
    read = results(client, poll)
    assert (read["question"], [option["text"] for option in read["options"]]) == ("Which one?", ["Yes", "No"])
    assert change(client, poll, question="Another?").expect(200)["question"] == "Another?"


def test_a_closed_polls_time_is_over(client: Client, poll: Made) -> None:
    before = close(client, poll)
    for closes_at in (None, later()):
        answer = change(client, poll, closes_at=closes_at)
        assert (answer.status, answer.code) == (409, "poll_closed")
    assert results(client, poll)["closes_at"] == before["closes_at"]
    assert change(client, poll, question="Still?").expect(200)["question"] == "Still?"


def test_more_time_and_less(client: Client) -> None:
    """A poll that got more time takes votes after the old one; one that got less closes at the new one."""
    for poll in closing_soon(client, seconds=1.5):
        longer = change(client, poll, closes_at=later())
        if longer.status == 200:
            break
        assert longer.code == "poll_closed"
    until(lambda: is_over(poll.answer["closes_at"], 0.25), "the first time is over")
    assert results(client, poll)["status"] == "open"
    accepted(client, poll)
    counted(client, poll, 1, 0)
    change(client, poll, closes_at=(datetime.now(UTC) + timedelta(seconds=1.5)).isoformat()).expect(200)
    until(lambda: vote(client, poll).status == 409, "it is closed")
    assert final(client, poll)["total_votes"] >= 1


def test_another_door_knows_of_a_change(client: Client, strict: Client, poll: Made) -> None:
    results(strict, poll)
    change(client, poll, options=["Ay", "Nay"]).expect(200)
    until(lambda: [o["text"] for o in results(strict, poll)["options"]] == ["Ay", "Nay"], "the other door knows it")
    assert vote(strict, poll, "Ay").status == 202


async def test_sockets_are_shown_the_new_texts(system: System, client: Client, poll: Made) -> None:
    async with socket(f"{system.ws_url}?poll={poll.id}") as one:
        await one.hear_of("results")
        change(client, poll, options=["Ay", "Nay"]).expect(200)
        await one.hear_of("results", lambda frame: [o["text"] for o in frame["options"]] == ["Ay", "Nay"])


def test_opened_again(client: Client, poll: Made) -> None:
    early = accepted(client, poll, "1")
    closed = close(client, poll)
    assert vote(client, poll).code == "poll_closed"
    opened = reopen(client, poll).expect(200)
    assert (opened["status"], opened["final"], opened["closes_at"]) == ("open", False, None)
    assert opened["revision"] > closed["revision"]
    after = accepted(client, poll, "2")
    counted(client, poll, 1, 1)
    assert {decided(client, poll, one)["status"] for one in (early, after)} == {"counted"}
    again = reopen(client, poll, {"closes_at": later()}).expect(200)
    assert (again["status"], again["closes_at"]) == ("open", None), "an open poll stays as it is"
    second = close(client, poll)
    assert second["closes_at"] > closed["closes_at"]
    assert reopen(client, poll, {}).expect(200)["status"] == "open"
    close(client, poll)
    assert counts(final(client, poll)) == [1, 1]


def test_with_a_time_to_close_again(client: Client, poll: Made) -> None:
    close(client, poll)
    closes_at = (datetime.now(UTC) + timedelta(seconds=2)).replace(microsecond=0) + timedelta(seconds=1)
    opened = reopen(client, poll, {"closes_at": closes_at.isoformat()}).expect(200)
    assert datetime.fromisoformat(opened["closes_at"]) == closes_at
    assert datetime.fromisoformat(final(client, poll)["closes_at"]) == closes_at


def test_a_poll_that_closed_by_time(client: Client) -> None:
    for poll in closing_soon(client):
        if vote(client, poll).status == 202:
            break
    until(lambda: results(client, poll)["status"] == "closed", "its time is over")
    assert reopen(client, poll).expect(200)["status"] == "open"
    accepted(client, poll, "2")
    counted(client, poll, 1, 1)
    assert vote(client, poll).status == 202


def test_a_final_poll_stays_closed(client: Client, poll: Made) -> None:
    accepted(client, poll)
    close(client, poll)
    last = final(client, poll)
    for body in (None, {"closes_at": later()}):
        answer = reopen(client, poll, body)
        assert (answer.status, answer.code) == (409, "poll_final")
    assert results(client, poll) == last


def test_a_voter_who_may_vote_once_has_voted_before(client: Client) -> None:
    """The vote from before the closing stands, and no other comes beside it."""
    poll = create(client, one_vote_per="voter", allow_change=False)
    first = accepted(client, poll, "1", "ada", **poll.admin)
    close(client, poll)
    reopen(client, poll).expect(200)
    assert accepted(client, poll, "1", "ada", **poll.admin) == first
    other = vote(client, poll, "2", "ada", **poll.admin)
    assert (other.status, other.json["vote_id"]) in ((409, first), (202, first))
    assert decided(client, poll, first)["option"]["id"] == "1"
    assert counts(counted(client, poll, 1, 0)) == [1, 0]


async def test_sockets_hear_of_it(system: System, client: Client, poll: Made) -> None:
    async with socket(f"{system.ws_url}?poll={poll.id}") as one:
        close(client, poll)
        await one.hear_of("results", lambda frame: frame["status"] == "closed")
        reopen(client, poll).expect(200)
        await one.hear_of("results", lambda frame: frame["status"] == "open")
        revisions = [frame["revision"] for frame in one.heard if frame["type"] == "results"]
        assert revisions == sorted(revisions)
