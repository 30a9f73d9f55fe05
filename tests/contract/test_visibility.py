"""The contract's tests: results that are not for everybody: who sees them, by REST and by socket."""

from __future__ import annotations

import re
from typing import Any

import pytest
from support.http import Client
from support.polls import Made, accepted, batch, closing_soon, counted, counts, create, is_over, results, vote
from support.sockets import Frame, socket
from support.system import System
from support.waiting import until

FORGED = "A" * 32
RULES = ["after_vote", "after_close"]


def hidden(client: Client, rule: str, **fields: Any) -> tuple[Made, str]:
    """A poll by that rule in which two votes are counted; and the id of one of them."""
    poll = create(client, results_visible=rule, **fields)
    vote_id = accepted(client, poll, "1")
    accepted(client, poll, "2")
    until(lambda: results(client, poll)["total_votes"] == 2, "both are counted")
    return poll, vote_id


def by_vote(client: Client, poll: Made, vote_id: str) -> Any:
    return client.get(f"{poll.path}?vote={vote_id}").expect(200)


def by_token(client: Client, poll: Made) -> Any:
    return client.get(poll.path, **poll.admin).expect(200)


def test_a_poll_for_everybody_says_nothing_of_it(client: Client, poll: Made) -> None:
    assert not {"results_visible", "results_hidden"} & set(results(client, poll))
    assert create(client, results_visible="always").answer.keys() == poll.answer.keys()


def test_a_rule_that_is_none(client: Client) -> None:
    body = {"question": "?", "options": ["a", "b"], "results_visible": "never"}
    answer = client.post("/api/polls", body)
    assert (answer.status, answer.code) == (422, "validation_error")
    assert answer.json["errors"][0]["pointer"] == "#/results_visible"


@pytest.mark.parametrize("rule", RULES)
def test_whoever_may_not_see_gets_the_same_shapes(client: Client, rule: str) -> None:
    poll, _ = hidden(client, rule)
    read = results(client, poll)
    assert read["results_visible"] == rule
    assert read["results_hidden"] is True
    assert read["total_votes"] == 2
    assert read["options"] == [
        {"id": "1", "text": "Yes", "votes": None, "share": None},
        {"id": "2", "text": "No", "votes": None, "share": None},
    ]
    assert set(read) == set(poll.answer) - {"admin_token"} | {"results_hidden"}
    listed = client.get("/api/polls?limit=20").expect(200)["data"]
    assert [one for one in listed if one["id"] == poll.id] == [read]
    assert list(read) == [name for name in read if name in read]


@pytest.mark.parametrize("rule", RULES)
def test_whoever_made_it_sees(client: Client, rule: str) -> None:
    poll, _ = hidden(client, rule)
    assert poll.answer["results_visible"] == rule
    assert "results_hidden" not in poll.answer
    read = by_token(client, poll)
    assert counts(read) == [1, 1]
    assert "results_hidden" not in read
    wrong = client.get(poll.path, Authorization=f"Bearer {create(client).token}")
    assert (wrong.status, wrong.code) == (403, "token_wrong")


def test_whoever_has_voted_sees_where_that_is_the_rule(client: Client) -> None:
    poll, vote_id = hidden(client, "after_vote")
    assert counts(by_vote(client, poll, vote_id)) == [1, 1]
    other, its_vote = hidden(client, "after_close")
    assert by_vote(client, other, its_vote)["results_hidden"] is True
    moving, _ = hidden(client, "after_vote", one_vote_per="browser")
    with Client(f"http://{client.host}:{client.port}", browser=True) as browser:
        assert sum(counts(by_vote(client, moving, accepted(browser, moving)))) >= 2


def test_another_polls_vote_or_a_forged_one_proves_nothing(client: Client, poll: Made) -> None:
    other, its_vote = hidden(client, "after_vote")
    mine = accepted(client, poll)
    for of, vote_id in ((poll, its_vote), (other, mine), (other, FORGED), (other, ""), (other, "%FF")):
        answer = client.get(f"{of.path}?vote={vote_id}")
        assert (answer.status, answer.code) == (422, "validation_error")
        assert answer.json["errors"][0]["pointer"] == "#/vote"
    assert by_vote(client, poll, mine)["id"] == poll.id


def test_hidden_and_shown_are_two_things_to_a_cache(client: Client) -> None:
    poll, vote_id = hidden(client, "after_vote")
    plain, shown = client.get(poll.path), client.get(f"{poll.path}?vote={vote_id}")
    assert plain.headers["ETag"] != shown.headers["ETag"]
    assert client.get(poll.path, If_None_Match=plain.headers["ETag"]).status == 304
    assert client.get(f"{poll.path}?vote={vote_id}", If_None_Match=plain.headers["ETag"]).status == 200
    assert client.get(f"{poll.path}?vote={vote_id}", If_None_Match=shown.headers["ETag"]).status == 304
    assert shown.headers["ETag"] == f'"{shown.json["revision"]}"'


@pytest.mark.parametrize("rule", RULES)
def test_when_it_is_closed_everybody_sees(client: Client, rule: str) -> None:
    poll, _ = hidden(client, rule)
    assert counts(client.post(f"{poll.path}/close", **poll.admin).expect(200)) == [1, 1]
    until(lambda: "results_hidden" not in results(client, poll), "the results are shown")
    read = results(client, poll)
    assert (read["results_visible"], counts(read)) == (rule, [1, 1])
    client.post(f"{poll.path}/reopen", **poll.admin).expect(200)
    until(lambda: results(client, poll).get("results_hidden"), "they are hidden again")


def test_the_leaderboard_leaves_it_out(client: Client) -> None:
    """As long as its results are hidden."""
    secret = create(client, results_visible="after_vote")
    batch(client, secret, [{"option": "1"}] * 700).expect(202)
    shown = create(client)
    batch(client, shown, [{"option": "1"}] * 600).expect(202)
    counted(client, shown, 600, 0)
    until(lambda: results(client, secret)["total_votes"] == 700, "its votes are counted")

    def on_it() -> set[str]:
        entries = client.get("/api/leaderboard?limit=100").expect(200)["entries"]
        return {entry["poll_id"] for entry in entries} & {secret.id, shown.id}

    until(lambda: on_it() == {shown.id}, "the other one is on it")
    client.request("PATCH", secret.path, {"results_visible": "always"}, headers=secret.admin).expect(200)
    until(lambda: on_it() == {shown.id, secret.id}, "it is on it, too")
    client.request("PATCH", secret.path, {"results_visible": "after_close"}, headers=secret.admin).expect(200)
    until(lambda: on_it() == {shown.id}, "it is not on it any more")


def is_hidden(frame: Frame) -> bool:
    return frame.get("results_hidden") is True


def has(*votes: int | None) -> Any:
    return lambda frame: [option["votes"] for option in frame["options"]] == list(votes)


@pytest.mark.parametrize("rule", RULES)
async def test_a_socket_that_may_not_see(system: System, client: Client, rule: str) -> None:
    poll, _ = hidden(client, rule)
    async with socket(system.ws_url) as one:
        await one.say(type="subscribe", poll=poll.id)
        first = await one.hear_of("results")
        assert first == {
            "type": "results",
            "poll_id": poll.id,
            "revision": first["revision"],
            "total_votes": 2,
            "status": "open",
            "final": False,
            "options": [
                {"id": "1", "text": "Yes", "votes": None, "share": None},
                {"id": "2", "text": "No", "votes": None, "share": None},
            ],
            "results_hidden": True,
        }
        accepted(client, poll, "1")
        moved = await one.hear_of("results", lambda frame: frame["total_votes"] == 3)
        assert has(None, None)(moved)
        assert is_hidden(moved)
        client.post(f"{poll.path}/close", **poll.admin).expect(200)
        closed = await one.hear_of("results", lambda frame: frame["status"] == "closed")
        assert has(2, 1)(closed)
        assert "results_hidden" not in closed
        until(lambda: client.post(f"{poll.path}/reopen", **poll.admin).status == 200, "it is open again")
        assert has(None, None)(await one.hear_of("results", lambda frame: frame["status"] == "open"))


async def test_sockets_that_may(system: System, client: Client) -> None:
    """By a vote or by the token; beside them one that may not."""
    poll, vote_id = hidden(client, "after_vote")
    async with socket(system.ws_url) as voter, socket(system.ws_url) as maker, socket(system.ws_url) as blind:
        await voter.say(type="subscribe", poll=poll.id, vote=vote_id)
        await maker.say(type="subscribe", poll=poll.id, admin_token=poll.token)
        await blind.say(type="subscribe", poll=poll.id)
        assert has(1, 1)(await voter.hear_of("results"))
        assert has(1, 1)(await maker.hear_of("results"))
        assert is_hidden(await blind.hear_of("results"))
        accepted(client, poll, "2")
        await voter.hear_of("results", has(1, 2))
        await maker.hear_of("results", has(1, 2))
        await blind.hear_of("results", lambda frame: frame["total_votes"] == 3)
        change = {"results_visible": "after_close"}
        client.request("PATCH", poll.path, change, headers=poll.admin).expect(200)
        await voter.hear_of("results", is_hidden)
        accepted(client, poll, "2")
        await maker.hear_of("results", has(1, 3))
        assert not any(is_hidden(frame) for frame in maker.heard)
        assert all(is_hidden(frame) for frame in blind.heard if frame["type"] == "results")
        client.request("PATCH", poll.path, {"results_visible": "always"}, headers=poll.admin).expect(200)
        await blind.hear_of("results", has(1, 3))
        await voter.hear_of("results", has(1, 3))


async def test_a_socket_that_votes_sees_at_once_when_it_says_so(system: System, client: Client) -> None:
    poll = create(client, results_visible="after_vote")
    async with socket(system.ws_url) as one:
        await one.say(type="subscribe", poll=poll.id)
        assert is_hidden(await one.hear_of("results"))
        cast = await one.answer_to(type="vote", poll=poll.id, option="1", ref=1)
        await one.say(type="subscribe", poll=poll.id, vote=cast["vote_id"])
        await one.hear_of("results", has(1, 0))
        await one.say(type="subscribe", poll=poll.id)
        await one.hear_of("results", has(1, 0))  # what it has proved holds until it unsubscribes
        await one.answer_to(type="unsubscribe", poll=poll.id)
        await one.say(type="subscribe", poll=poll.id)
        assert is_hidden(await one.hear_of("results"))


async def test_what_proves_nothing_is_an_error(system: System, client: Client, poll: Made) -> None:
    secret, its_vote = hidden(client, "after_vote")
    async with socket(system.ws_url) as one:
        for claim, code in (
            ({"vote": FORGED}, "validation_error"),
            ({"vote": accepted(client, poll)}, "validation_error"),
            ({"admin_token": poll.token}, "token_wrong"),
        ):
            error = await one.answer_to(type="subscribe", poll=secret.id, **claim)
            assert (error["type"], error["code"], error["poll"]) == ("error", code, secret.id)
        assert (await one.answer_to(type="subscribe", poll="nobody", vote=its_vote))["code"] == "poll_not_found"
        for more in ({"leaderboard": True, "vote": its_vote}, {"poll": secret.id, "viewers": False}):
            assert (await one.answer_to(type="subscribe", **more))["code"] == "validation_error"
        accepted(client, secret)
        assert await one.is_alive()
        assert not [frame for frame in one.heard if frame["type"] == "results"], "none of these subscribed"
        await one.say(type="subscribe", poll=secret.id)
        assert is_hidden(await one.hear_of("results"))
        assert (await one.answer_to(type="subscribe", poll=secret.id, vote=FORGED))["code"] == "validation_error"
        accepted(client, secret)
        await one.hear_of("results", lambda frame: frame["total_votes"] == 4)  # the subscription stands


async def test_a_poll_that_closes_by_time_shows_its_results_to_all_sockets(system: System, client: Client) -> None:
    for poll in closing_soon(client, seconds=2, results_visible="after_close"):
        if vote(client, poll).status == 202 and not is_over(poll.answer["closes_at"], -1):
            break
    async with socket(f"{system.ws_url}?poll={poll.id}") as one:
        closed = await one.hear_of("results", lambda frame: frame["status"] == "closed" and has(1, 0)(frame))
        assert "results_hidden" not in closed


def test_no_answer_to_a_vote_tells_how_the_poll_stands(client: Client) -> None:
    poll = create(client, results_visible="after_close")
    for answer in (vote(client, poll), vote(client, poll, Prefer="wait=10")):
        assert not re.search(r"share|votes", str(sorted(answer.json)))
