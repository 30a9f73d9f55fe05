"""The contract's tests: votes: what is accepted, what becomes of it, and waiting for that."""

from __future__ import annotations

import unicodedata

import pytest
from support.http import Client
from support.polls import Made, accepted, counted, counts, create, decided, results, shown, status, vote
from support.system import System

ACCEPTED = {"vote_id", "poll_id", "option", "status"}
DECIDED = {"vote_id", "status", "option", "rejected", "revision"}


def test_a_vote(client: Client, poll: Made) -> None:
    answer = client.post(f"{poll.path}/vote", {"option": "No"})
    body = answer.expect(202)
    assert body == {
        "vote_id": body["vote_id"],
        "poll_id": poll.id,
        "option": shown("2", "No"),
        "status": "accepted",
    }
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.headers["Location"] == f"{poll.path}/votes/{body['vote_id']}"
    assert decided(client, poll, body["vote_id"]) == {
        "vote_id": body["vote_id"],
        "status": "counted",
        "option": shown("2", "No"),
        "rejected": [],
    }
    read = counted(client, poll, 0, 1)
    assert [option["share"] for option in read["options"]] == [0, 1]


def test_the_same_through_tornado_and_through_the_fast_lane(client: Client, poll: Made) -> None:
    """A header that asks for more leads off the lane; the answers must be alike, in all but the ids."""
    plain = vote(client, poll)
    ordinary = vote(client, poll, Prefer="handling=lenient")
    assert plain.status == ordinary.status == 202
    assert plain.json.keys() == ordinary.json.keys()
    assert {**plain.json, "vote_id": ""} == {**ordinary.json, "vote_id": ""}
    assert set(plain.headers) == set(ordinary.headers)
    for name in set(plain.headers) - {"Date", "Location", "Set-Cookie"}:
        assert plain.headers[name] == ordinary.headers[name], name
    counted(client, poll, 2, 0)


def test_an_option_is_named_by_text_or_id(client: Client) -> None:
    poll = create(client, "JavaScript", "Café", "3rd", "3")
    for named, number in (
        ("JavaScript", "1"),
        ("1", "1"),
        (" JavaScript\n", "1"),
        ("Cafe\u0301", "2"),
        ("2", "2"),
        ("3", "4"),
        ("4", "4"),
        ("3rd", "3"),
    ):
        assert vote(client, poll, named).expect(202)["option"]["id"] == number, named
    counted(client, poll, 3, 2, 1, 2)


@pytest.mark.parametrize("option", ["yes", "0", "3", "", " ", "01", "1.0", "-1", "\u0661", "\0"])
def test_options_that_the_poll_lacks(client: Client, poll: Made, option: str) -> None:
    for headers in ({}, {"Idempotency_Key": "a key"}):
        answer = vote(client, poll, option, **headers)
        assert (answer.status, answer.code) == (422, "unknown_option")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "#/option"),
        ({"option": 1}, "#/option"),
        ({"option": None}, "#/option"),
        ({"option": ["1"]}, "#/option"),
        ({"option": "1", "weight": 2}, "#/weight"),
        ({"option": "1", "a/b~c d": 2}, "#/a~1b~0c%20d"),
        ({"option": "1", "voter": "me"}, "#/voter"),
        ({"option": "1", "voter": 5}, "#/voter"),
    ],
)
def test_bodies_that_are_refused(client: Client, poll: Made, body: dict[str, object], pointer: str) -> None:
    answer = client.post(f"{poll.path}/vote", body)
    assert (answer.status, answer.code) == (422, "validation_error")
    assert [error["pointer"] for error in answer.json["errors"]] == [pointer]


def test_a_vote_with_no_voter_named(client: Client, poll: Made) -> None:
    client.post(f"{poll.path}/vote", {"option": "1", "voter": None}).expect(202)


@pytest.mark.parametrize("poll_id", ["nobody", "0" * 20, "x" * 300, "%00", "%F0%9F%97%B3", "..%2fpolls"])
def test_votes_to_a_poll_that_does_not_exist(client: Client, poll_id: str) -> None:
    answer = client.post(f"/api/polls/{poll_id}/vote", {"option": "1"})
    assert (answer.status, answer.code) == (404, "poll_not_found")
    answer = client.get(f"/api/polls/{poll_id}")
    assert (answer.status, answer.code) == (404, "poll_not_found")


def test_votes_without_rules_all_count(client: Client, poll: Made) -> None:
    ids = {accepted(client, poll, str(1 + number % 2)) for number in range(20)}
    assert len(ids) == 20
    counted(client, poll, 10, 10)


@pytest.mark.parametrize(
    "vote_id",
    ["nonsense", "A" * 32, "A" * 31, "A" * 33, "%2B" * 32, "%00", "%ff", "🗳".encode().decode("latin-1")],
)
def test_ids_that_this_system_never_made(client: Client, poll: Made, vote_id: str) -> None:
    if not vote_id.isascii():
        vote_id = "%F0%9F%97%B3"
    answer = client.get(f"{poll.path}/votes/{vote_id}")
    assert answer.status == 404
    assert answer.code == ("not_found" if vote_id == "%ff" else "vote_not_found")


def test_another_polls_vote_id_is_unknown_here(client: Client, poll: Made) -> None:
    vote_id = accepted(client, poll)
    other = create(client)
    answer = client.get(f"{other.path}/votes/{vote_id}")
    assert (answer.status, answer.code) == (404, "vote_not_found")
    answer = client.get(f"/api/polls/nobody/votes/{vote_id}")
    assert (answer.status, answer.code) == (404, "poll_not_found")


def test_before_the_count_a_vote_is_accepted(client: Client, poll: Made, system: System) -> None:
    with system.frozen("bridge"):
        vote_id = accepted(client, poll)
        assert status(client, poll, vote_id) == {
            "vote_id": vote_id,
            "status": "accepted",
            "option": None,
            "rejected": [],
        }
    assert decided(client, poll, vote_id)["status"] == "counted"


def test_waiting_for_the_count(client: Client, poll: Made) -> None:
    answer = vote(client, poll, "2", Prefer="wait=10")
    body = answer.expect(200)
    assert answer.headers["Preference-Applied"] == "wait=10"
    assert answer.headers["Location"] == f"{poll.path}/votes/{body['vote_id']}"
    assert set(body) == DECIDED
    assert (body["status"], body["option"], body["rejected"]) == ("counted", shown("2", "No"), [])
    read = results(client, poll)
    assert (counts(read), read["revision"]) == ([0, 1], body["revision"])


def test_waiting_longer_than_allowed_is_ten_seconds(client: Client, poll: Made) -> None:
    answer = vote(client, poll, Prefer="wait=3600")
    answer.expect(200)
    assert answer.headers["Preference-Applied"] == "wait=10"


def test_waiting_among_other_preferences(client: Client, poll: Made) -> None:
    answer = vote(client, poll, Prefer='respond-async, WAIT = 10 ; x="y"')
    answer.expect(200)


@pytest.mark.parametrize("prefer", ["wait", "wait=", "wait=-1", "wait=soon", "wait=1.5", "wait=0", "await=5", "=", ","])
def test_preferences_that_say_nothing_are_ignored(client: Client, poll: Made, prefer: str) -> None:
    answer = vote(client, poll, Prefer=prefer)
    assert set(answer.expect(202)) == ACCEPTED
    assert answer.headers["Preference-Applied"] is None


def test_where_the_time_runs_out_it_is_accepted(client: Client, poll: Made, system: System) -> None:
    with system.frozen("bridge"):
        answer = vote(client, poll, Prefer="wait=1")
        assert set(answer.expect(202)) == ACCEPTED
        assert answer.headers["Preference-Applied"] is None
    assert decided(client, poll, answer.json["vote_id"])["status"] == "counted"


def test_waiting_again_for_a_vote_that_is_counted(client: Client, poll: Made) -> None:
    first = vote(client, poll, Idempotency_Key="k", Prefer="wait=10").expect(200)
    again = vote(client, poll, Idempotency_Key="k", Prefer="wait=10").expect(200)
    assert again == first


def test_waiting_at_another_door_for_a_vote_that_is_counted(client: Client, strict: Client, poll: Made) -> None:
    first = vote(client, poll, Idempotency_Key="k", Prefer="wait=10").expect(200)
    assert vote(strict, poll, Idempotency_Key="k", Prefer="wait=10").expect(200) == first


def test_texts_in_every_script(client: Client) -> None:
    texts = ["Ångström", "投票", "🗳️ ballot", "ᄀ\u1161", '"quoted" \\ </script>']
    poll = create(client, *texts, question="¿Cuál? 哪个？ 🧐")
    for text in texts:
        option = vote(client, poll, text).expect(202)["option"]
        assert option["text"] == unicodedata.normalize("NFC", text)
    counted(client, poll, 1, 1, 1, 1, 1)


def test_the_cookie_comes_with_the_first_vote(client: Client, browser: Client, poll: Made) -> None:
    answer = vote(browser, poll)
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("voter=")
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Path=/" in cookie
    assert "Secure" not in cookie, "this is no TLS"
    assert vote(browser, poll).headers["Set-Cookie"] is None, "it has one"
    forged = vote(client, poll, Cookie=str(browser.cookie)[:-3] + 'xx"')
    assert forged.expect(202)
    assert forged.headers["Set-Cookie"].startswith("voter="), "a forged one is as none"


def test_behind_tls_the_cookie_is_secure(strict: Client, poll: Made) -> None:
    answer = vote(strict, poll, X_Forwarded_Proto="https")
    assert "; Secure" in answer.headers["Set-Cookie"]
    assert "; Secure" not in vote(strict, poll, X_Forwarded_Proto="http").headers["Set-Cookie"]
