"""The contract's tests: the ballot: idempotency keys, one vote per browser, one vote per voter."""

from __future__ import annotations

from typing import Any

import pytest
from support import log
from support.http import Answer, Client
from support.polls import Made, accepted, counted, create, decided, shown, vote
from support.system import System
from support.waiting import until

from polling.core import ballots


def key_of(system: System, poll: Made) -> bytes:
    """The poll's own secret, from the database: what only the system knows."""
    with system.database() as connection:
        row = connection.execute("SELECT key FROM polls WHERE id = %s", [poll.id]).fetchone()
    assert row is not None
    key = row[0]
    assert isinstance(key, bytes)
    return key


def refused(answer: Answer, status: int, code: str, vote_id: str | None = None) -> None:
    assert (answer.status, answer.code) == (status, code), answer
    assert answer.json.get("vote_id") == vote_id


def test_the_same_key_is_the_same_vote(client: Client, poll: Made) -> None:
    first = accepted(client, poll, "1", Idempotency_Key="a")
    assert accepted(client, poll, "1", Idempotency_Key="a") == first
    assert accepted(client, poll, "Yes", Idempotency_Key="a") == first
    other = accepted(client, poll, "1", Idempotency_Key="b")
    assert other != first
    counted(client, poll, 2, 0)


def test_a_key_belongs_to_its_poll(client: Client, poll: Made) -> None:
    other = create(client)
    assert accepted(client, poll, Idempotency_Key="a") != accepted(client, other, Idempotency_Key="a")
    counted(client, poll, 1, 0)
    counted(client, other, 1, 0)


def test_a_key_for_another_option_is_refused_at_once(client: Client, poll: Made) -> None:
    vote_id = accepted(client, poll, "1", Idempotency_Key="a")
    for _ in range(2):
        refused(vote(client, poll, "2", Idempotency_Key="a"), 422, "idempotency_key_reused", vote_id)
    counted(client, poll, 1, 0)


def test_another_door_refuses_at_once_too(client: Client, strict: Client) -> None:
    """Where Redis tells it in 50 ms; else it accepts, and the count decides. So it is tried with several polls."""

    def refused_at_once() -> bool:
        poll = create(client)
        vote_id = accepted(client, poll, "1", Idempotency_Key="a")
        answer = vote(strict, poll, "2", Idempotency_Key="a")
        if answer.status == 202:
            assert answer.json["vote_id"] == vote_id
            counted(client, poll, 1, 0)
            return False
        refused(answer, 422, "idempotency_key_reused", vote_id)
        assert accepted(strict, poll, "1", Idempotency_Key="a") == vote_id
        counted(client, poll, 1, 0)
        return True

    until(refused_at_once, "the other door knows the ballot")


def test_what_the_door_does_not_know_the_count_decides(client: Client, system: System, poll: Made) -> None:
    """Another program has used the ballot before: the vote is accepted, and its end can be asked for."""
    ballot = ballots.of_key(key_of(system, poll), "a")
    log.write(system.settings.kafka_broker, {"poll": poll.id, "ballot": ballot.hex(), "option": "2"}, key=ballot)
    counted(client, poll, 0, 1)
    body = vote(client, poll, "1", Idempotency_Key="a", Prefer="wait=10").expect(200)
    assert (body["status"], body["option"]) == ("counted", shown("2", "No"))
    assert body["rejected"] == [{"option": shown("1", "Yes"), "reason": "idempotency_key_reused"}]
    counted(client, poll, 0, 1)


@pytest.mark.parametrize("key", ["x", "x" * 255, "a b", "~", "ключ", "8d736cac-5eac-4b11-a551-1894833f36ac"])
def test_keys_that_are_taken(client: Client, poll: Made, key: str) -> None:
    sent = key.encode().decode("latin-1")
    first = accepted(client, poll, Idempotency_Key=sent)
    assert accepted(client, poll, Idempotency_Key=sent) == first
    counted(client, poll, 1, 0)


@pytest.mark.parametrize("key", [b"", b"x" * 256, b"a\tb", b"\xff", b"\x80"])
def test_keys_that_are_refused(client: Client, poll: Made, key: bytes) -> None:
    answer = client.request("POST", f"{poll.path}/vote", {"option": "1"}, headers={"Idempotency-Key": key})
    assert (answer.status, answer.code) == (422, "validation_error")


def test_with_one_vote_per_browser_the_key_is_ignored(browser: Client, another: Client) -> None:
    poll = create(browser, one_vote_per="browser")
    first = accepted(browser, poll, "1", Idempotency_Key="a")
    assert accepted(another, poll, "2", Idempotency_Key="a") != first
    assert accepted(browser, poll, "1", Idempotency_Key="x" * 300) == first
    counted(browser, poll, 1, 1)


def test_one_vote_per_browser_that_may_change(browser: Client, another: Client) -> None:
    poll = create(browser, "A", "B", "C", one_vote_per="browser")
    first = accepted(browser, poll, "A")
    accepted(another, poll, "A")
    counted(browser, poll, 2, 0, 0)
    assert accepted(browser, poll, "B") == first
    counted(browser, poll, 1, 1, 0)
    assert accepted(browser, poll, "C") == first
    assert accepted(browser, poll, "C") == first
    counted(browser, poll, 1, 0, 1)
    assert decided(browser, poll, first) == {
        "vote_id": first,
        "status": "counted",
        "option": shown("3", "C"),
        "rejected": [],
    }


def test_changing_back_and_forth_ends_with_the_last(browser: Client) -> None:
    poll = create(browser, one_vote_per="browser")
    for option in "12121212":
        accepted(browser, poll, option)
    vote(browser, poll, "2", Prefer="wait=10").expect(200)
    counted(browser, poll, 0, 1)


def test_one_vote_per_browser_that_stands(client: Client, strict: Client, browser: Client, another: Client) -> None:
    def refused_by_both_doors() -> bool:
        poll = create(browser, one_vote_per="browser", allow_change=False)
        first = accepted(browser, poll, "1")
        refused(vote(browser, poll, "2"), 409, "already_voted", first)
        assert accepted(browser, poll, "1") == first, "the same option again is the same vote"
        accepted(another, poll, "2")
        answer = vote(strict, poll, "2", Cookie=str(browser.cookie))
        counted(client, poll, 1, 1)
        if answer.status == 202:
            # Redis did not tell this door in 50 ms. The count decides.
            assert answer.json["vote_id"] == first
            return False
        refused(answer, 409, "already_voted", first)
        return True

    until(refused_by_both_doors, "the other door knows the ballot")


def test_without_a_cookie_one_is_a_new_browser(client: Client) -> None:
    poll = create(client, one_vote_per="browser", allow_change=False)
    accepted(client, poll, "1")
    accepted(client, poll, "2")
    accepted(client, poll, "2", Cookie="voter=forged")
    accepted(client, poll, "2", Cookie='voter="2|1:0|10:1700000000|5:voter|4:eHh4|' + "0" * 64 + '"')
    counted(client, poll, 1, 3)


def test_one_browser_is_another_voter_in_each_poll(browser: Client) -> None:
    polls = [create(browser, one_vote_per="browser") for _ in range(2)]
    assert accepted(browser, polls[0]) != accepted(browser, polls[1])


def test_a_vote_that_the_count_rejects(browser: Client, system: System) -> None:
    """The door has forgotten; the log has not."""
    poll = create(browser, one_vote_per="voter", allow_change=False)
    ballot = ballots.of_voter(key_of(system, poll), "ann")
    log.write(system.settings.kafka_broker, {"poll": poll.id, "ballot": ballot.hex(), "option": "1"}, key=ballot)
    counted(browser, poll, 1, 0)
    state = decided(browser, poll, accepted(browser, poll, "2", "ann", **poll.admin))
    assert (state["status"], state["option"]) == ("counted", shown("1", "Yes"))

    def told() -> Any:
        return vote(browser, poll, "2", "ann", Prefer="wait=10", **poll.admin)

    answer = told()
    assert answer.status in (200, 409)
    until(lambda: decided(browser, poll, state["vote_id"])["rejected"], "the other option is rejected")
    assert decided(browser, poll, state["vote_id"])["rejected"] == [
        {"option": shown("2", "No"), "reason": "already_voted"}
    ]


def test_one_vote_per_voter(client: Client) -> None:
    poll = create(client, one_vote_per="voter")
    ann = accepted(client, poll, "1", "ann", **poll.admin)
    bob = accepted(client, poll, "1", "bob", **poll.admin)
    assert ann != bob
    counted(client, poll, 2, 0)
    assert accepted(client, poll, "2", "ann", **poll.admin) == ann
    counted(client, poll, 1, 1)


def test_one_vote_per_voter_that_stands(client: Client) -> None:
    poll = create(client, one_vote_per="voter", allow_change=False)
    ann = accepted(client, poll, "1", "ann", **poll.admin)
    refused(vote(client, poll, "2", "ann", **poll.admin), 409, "already_voted", ann)
    assert accepted(client, poll, "1", "ann", **poll.admin) == ann
    accepted(client, poll, "2", "Ann", **poll.admin)
    counted(client, poll, 1, 1)


def test_only_the_creators_server_vouches_for_voters(client: Client) -> None:
    poll = create(client, one_vote_per="voter")
    answer = vote(client, poll, "1", "ann")
    refused(answer, 401, "token_missing")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    refused(vote(client, poll, "1", "ann", Authorization="Bearer nonsense"), 403, "token_wrong")


@pytest.mark.parametrize("voter", [None, "", "v" * 201, "a\0b"])
def test_voters_that_are_refused(client: Client, voter: str | None) -> None:
    poll = create(client, one_vote_per="voter")
    answer = vote(client, poll, "1", voter, **poll.admin)
    refused(answer, 422, "validation_error")
    assert answer.json["errors"][0]["pointer"] == "#/voter"
    accepted(client, poll, "1", "v" * 200, **poll.admin)


@pytest.mark.parametrize("one_vote_per", [None, "browser"])
def test_a_voter_where_the_poll_does_not_ask(client: Client, one_vote_per: str | None) -> None:
    poll = create(client, one_vote_per=one_vote_per)
    for headers in ({}, poll.admin):
        answer = vote(client, poll, "1", "ann", **headers)
        refused(answer, 422, "validation_error")
        assert answer.json["errors"][0]["pointer"] == "#/voter"


def test_closed_comes_before_all_else_that_the_door_knows(client: Client, browser: Client) -> None:
    stands = create(browser, one_vote_per="browser", allow_change=False)
    keyed = create(client)
    voters = create(client, one_vote_per="voter")
    first = accepted(browser, stands, "1")
    accepted(client, keyed, "1", Idempotency_Key="a")
    for poll in (stands, keyed, voters):
        client.post(f"{poll.path}/close", **poll.admin).expect(200)
    for answer in (
        vote(browser, stands, "1"),
        vote(browser, stands, "2"),
        vote(client, keyed, "1", Idempotency_Key="a"),
        vote(client, keyed, "2", Idempotency_Key="a"),
        vote(client, keyed, "no such option"),
        vote(client, voters, "1", "ann"),
        vote(client, voters, "1", "ann", **voters.admin),
    ):
        refused(answer, 409, "poll_closed")
    assert decided(browser, stands, first)["status"] == "counted"
