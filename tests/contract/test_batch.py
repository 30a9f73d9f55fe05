"""The contract's tests: many votes in one request."""

from __future__ import annotations

from support.http import Client
from support.polls import Made, accepted, batch, counted, create, decided, shown


def test_lines_succeed_one_by_one(client: Client, poll: Made) -> None:
    answer = batch(
        client,
        poll,
        [
            {"option": "Yes"},
            "",
            {"option": "2"},
            "{",
            {"option": "Maybe"},
            "   ",
            {"option": "1", "weight": 5},
            {"option": "1", "voter": "ann"},
            "[]",
            {"option": "1", "idempotency_key": ""},
            '{"option": "Yes"}\r',
            "",
        ],
    )
    body = answer.expect(202)
    assert set(body) == {"accepted", "rejected"}
    assert body["accepted"] == 3
    assert [(line["line"], line["code"]) for line in body["rejected"]] == [
        (4, "malformed_json"),
        (5, "unknown_option"),
        (7, "validation_error"),
        (8, "validation_error"),
        (9, "validation_error"),
        (10, "validation_error"),
    ]
    assert all(set(line) == {"line", "code", "detail"} and line["detail"] for line in body["rejected"])
    counted(client, poll, 2, 1)


def test_a_representation_where_it_is_asked_for(client: Client, poll: Made) -> None:
    lines: list[dict[str, str] | str] = [{"option": "1"}, "", {"option": "x"}, {"option": "2"}]
    answer = batch(client, poll, lines, Prefer="return=representation")
    body = answer.expect(202)
    assert answer.headers["Preference-Applied"] == "return=representation"
    assert [vote["line"] for vote in body["votes"]] == [1, 4]
    states = [decided(client, poll, vote["vote_id"]) for vote in body["votes"]]
    assert [state["option"] for state in states] == [shown("1", "Yes"), shown("2", "No")]


def test_a_batch_sent_again_with_its_key_counts_once(client: Client, poll: Made) -> None:
    lines = [{"option": str(1 + number % 2)} for number in range(50)]
    first = batch(client, poll, lines, Idempotency_Key="b", Prefer="return=representation").expect(202)
    again = batch(client, poll, lines, Idempotency_Key="b", Prefer="return=representation").expect(202)
    assert again == first
    assert len({vote["vote_id"] for vote in first["votes"]}) == 50
    other = batch(client, poll, lines, Idempotency_Key="c", Prefer="return=representation").expect(202)
    assert other["votes"][0] != first["votes"][0]
    counted(client, poll, 50, 50)


def test_a_line_of_a_batch_keeps_its_number_where_others_are_blank(client: Client, poll: Made) -> None:
    """Line n's key is the header, a newline and n: the same line after a blank one is another vote."""
    one = batch(client, poll, [{"option": "1"}], Idempotency_Key="b", Prefer="return=representation").expect(202)
    two = batch(client, poll, ["", {"option": "1"}], Idempotency_Key="b", Prefer="return=representation").expect(202)
    assert one["votes"][0]["vote_id"] != two["votes"][0]["vote_id"]
    counted(client, poll, 2, 0)


def test_a_line_for_another_option_under_the_same_key(client: Client, poll: Made) -> None:
    batch(client, poll, [{"option": "1"}], Idempotency_Key="b").expect(202)
    body = batch(client, poll, [{"option": "2"}], Idempotency_Key="b").expect(202)
    assert (body["accepted"], [line["code"] for line in body["rejected"]]) == (0, ["idempotency_key_reused"])


def test_a_lines_own_key_wins(client: Client, poll: Made) -> None:
    vote_id = accepted(client, poll, "1", Idempotency_Key="mine")
    lines = [{"option": "1", "idempotency_key": "mine"}]
    body = batch(client, poll, lines, Idempotency_Key="b", Prefer="return=representation").expect(202)
    assert body["votes"] == [{"line": 1, "vote_id": vote_id}]
    counted(client, poll, 1, 0)


def test_the_same_key_twice_in_one_batch(client: Client, poll: Made) -> None:
    lines = [{"option": "1", "idempotency_key": "k"}, {"option": "1", "idempotency_key": "k"}]
    body = batch(client, poll, lines, Prefer="return=representation").expect(202)
    assert body["accepted"] == 2
    assert body["votes"][0]["vote_id"] == body["votes"][1]["vote_id"]
    counted(client, poll, 1, 0)


def test_voters_in_a_batch(client: Client) -> None:
    poll = create(client, one_vote_per="voter")
    lines = [
        {"option": "1", "voter": "ann"},
        {"option": "1", "voter": "bob"},
        {"option": "1"},
        {"option": "2", "voter": "ann"},
    ]
    assert batch(client, poll, lines).code == "token_missing"
    assert batch(client, poll, lines, Authorization="Bearer x").code == "token_wrong"
    body = batch(client, poll, lines, Idempotency_Key="ignored", **poll.admin).expect(202)
    assert body["accepted"] == 3
    assert [(line["line"], line["code"]) for line in body["rejected"]] == [(3, "validation_error")]
    counted(client, poll, 1, 1)


def test_no_batches_where_each_browser_has_one_vote(client: Client) -> None:
    poll = create(client, one_vote_per="browser")
    answer = batch(client, poll, [{"option": "1"}])
    assert (answer.status, answer.code) == (422, "validation_error")


def test_a_closed_poll_takes_no_batches(client: Client, poll: Made) -> None:
    client.post(f"{poll.path}/close", **poll.admin).expect(200)
    answer = batch(client, poll, [{"option": "1"}])
    assert (answer.status, answer.code) == (409, "poll_closed")


def test_batches_to_nobody(client: Client, poll: Made) -> None:
    assert batch(client, poll._replace(id="nobody"), [{"option": "1"}]).code == "poll_not_found"


def test_bad_headers(client: Client, poll: Made) -> None:
    answer = client.post(f"{poll.path}/votes/batch", {"option": "1"})
    assert (answer.status, answer.code) == (415, "unsupported_media_type")
    answer = batch(client, poll, [{"option": "1"}], Idempotency_Key="x" * 256)
    assert (answer.status, answer.code) == (422, "validation_error")
    answer = batch(client, poll, [])
    assert (answer.status, answer.code) == (400, "malformed_json")


def test_blank_lines_alone_are_no_votes(client: Client, poll: Made) -> None:
    assert batch(client, poll, ["", " ", ""]).expect(202) == {"accepted": 0, "rejected": []}


def test_ten_thousand_lines_and_no_more(client: Client, poll: Made) -> None:
    lines = [{"option": str(1 + number % 2)} for number in range(10_000)]
    assert batch(client, poll, [*lines, "", ""]).expect(202) == {"accepted": 10_000, "rejected": []}
    answer = batch(client, poll, [*lines, {"option": "1"}])
    assert (answer.status, answer.code) == (413, "body_too_large")
    assert answer.json["limit"] == 10_000
    counted(client, poll, 5000, 5000)


def test_a_mebibyte_and_no_more(client: Client, poll: Made) -> None:
    line = '{"option": "1"}'
    full = [line + " " * (2**20 - len(line) - 1)]
    assert batch(client, poll, [*full, ""]).expect(202)["accepted"] == 1
    answer = batch(client, poll, [*full, "", ""])
    assert (answer.status, answer.code) == (413, "body_too_large")
    assert answer.json["limit"] == 2**20
    assert "1,048,576" in answer.json["detail"]
