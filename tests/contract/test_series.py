"""The contract's tests: how a poll's votes grew, and a poll as a file."""

from __future__ import annotations

import csv
import io
import json
import socket
from datetime import datetime
from typing import Any

import pytest
from support.http import Answer, Client
from support.polls import Made, accepted, batch, counted, create, results, vote
from support.system import System
from support.waiting import until


def series(client: Client, poll: Made, query: str = "", **headers: str) -> dict[str, Any]:
    read = client.get(f"{poll.path}/series{query}", **headers).expect(200)
    assert isinstance(read, dict)
    return read


def export(client: Client, poll: Made, query: str = "", **headers: str) -> Answer:
    answer = client.get(f"{poll.path}/export{query}", **headers)
    assert answer.status == 200, answer
    return answer


def rows(answer: Answer) -> list[dict[str, str]]:
    """The lines of a CSV file by the names of their columns."""
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    text = answer.body.decode("utf-8-sig")
    assert text.endswith("\r\n")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_it_begins_with_nothing_and_ends_now(client: Client, poll: Made) -> None:
    read = series(client, poll)
    assert set(read) == {"poll_id", "step", "points"}
    assert (read["poll_id"], read["step"]) == (poll.id, 5)
    assert [point["votes"] for point in read["points"]] == [[0, 0], [0, 0]]
    assert read["points"][0]["at"] == poll.answer["created_at"]


def test_it_grows_with_the_votes(client: Client, poll: Made) -> None:
    """A point is kept where the poll changed, and stays when it changes again."""
    batch(client, poll, [{"option": "1"}] * 3).expect(202)
    counted(client, poll, 3, 0)
    until(lambda: [3, 0] in [one["votes"] for one in series(client, poll)["points"][:-1]], "the first state is kept")
    batch(client, poll, [{"option": "2"}] * 2).expect(202)
    counted(client, poll, 3, 2)
    until(lambda: [3, 2] in [one["votes"] for one in series(client, poll)["points"][:-1]], "the second state, too")
    points = series(client, poll)["points"]
    assert points[0]["votes"] == [0, 0]
    assert [3, 0] in [point["votes"] for point in points]
    assert points[-1]["votes"] == [3, 2]
    times = [datetime.fromisoformat(point["at"]) for point in points]
    assert times == sorted(set(times))
    totals = [sum(point["votes"]) for point in points]
    assert totals == sorted(totals)


def test_a_long_life_is_shown_in_five_hundred_points(client: Client, system: System) -> None:
    poll = create(client)
    accepted(client, poll)
    counted(client, poll, 1, 0)
    with system.database() as connection:
        connection.execute(
            "WITH older AS (UPDATE polls SET created_at = created_at - interval '90 days' WHERE id = %s"
            " RETURNING number, created_at)"
            " INSERT INTO series (poll, at, counts)"
            " SELECT number, at, ARRAY[1, 0] FROM older, generate_series("
            " created_at + interval '1 minute', created_at + interval '89 days', interval '1 hour') AS at",
            [poll.id],
        )
        connection.execute("UPDATE polls SET changed_at = clock_timestamp() WHERE id = %s", [poll.id])
    until(lambda: series(client, poll)["step"] > 5, "the door knows that the poll is old")
    read = series(client, poll)
    assert 250 < len(read["points"]) <= 500
    times = [datetime.fromisoformat(point["at"]) for point in read["points"]]
    assert times == sorted(set(times))
    bins = [int(time.timestamp()) // read["step"] for time in times[1:-1]]
    assert len(set(bins)) == len(bins), "one point for each step"
    assert read["points"][-1]["votes"] == [1, 0]


def test_hidden_results_have_no_series_and_no_file(client: Client) -> None:
    poll = create(client, results_visible="after_vote")
    vote_id = accepted(client, poll)
    until(lambda: results(client, poll)["total_votes"] == 1, "the vote is counted")
    for what in ("series", "export", "export?format=csv"):
        answer = client.get(f"{poll.path}/{what}")
        assert (answer.status, answer.code) == (403, "results_hidden")
        assert client.get(f"{poll.path}/{what}", Authorization=f"Bearer {create(client).token}").code == "token_wrong"
        client.get(f"{poll.path}/{what}", **poll.admin).expect(200) if "csv" not in what else None
    assert series(client, poll, f"?vote={vote_id}")["points"][-1]["votes"] == [1, 0]
    assert series(client, poll, **poll.admin)["points"][-1]["votes"] == [1, 0]
    assert rows(export(client, poll, f"?format=csv&vote={vote_id}"))[0]["votes"] == "1"
    assert client.get(f"{poll.path}/series?vote={'A' * 32}").code == "validation_error"
    client.post(f"{poll.path}/close", **poll.admin).expect(200)
    until(lambda: client.get(f"{poll.path}/series").status == 200, "a closed poll shows its results")


@pytest.mark.parametrize("what", ["series", "export", "export?of=ballots"])
def test_there_is_none_of_a_poll_that_is_none(client: Client, poll: Made, what: str) -> None:
    assert client.get(f"/api/polls/nobody/{what}").code == "poll_not_found"
    client.delete(poll.path, **poll.admin).expect(204)
    assert client.get(f"{poll.path}/{what}", **poll.admin).code == "poll_not_found"


@pytest.mark.parametrize("query", ["?format=xlsx", "?format=", "?of=voters", "?of=ballots&format=xml"])
def test_files_that_are_none(client: Client, poll: Made, query: str) -> None:
    answer = client.get(f"{poll.path}/export{query}", **poll.admin)
    assert (answer.status, answer.code) == (422, "validation_error")


def test_the_results_as_json(client: Client, poll: Made) -> None:
    accepted(client, poll, "2")
    counted(client, poll, 0, 1)
    answer = export(client, poll)
    assert answer.headers["Content-Disposition"] == f'attachment; filename="poll-{poll.id}.json"'
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert set(answer.json) == {"exported_at", "poll", "series"}
    assert answer.json["poll"] == results(client, poll)
    assert answer.json["series"]["points"][-1]["votes"] == [0, 1]
    assert export(client, poll, "?format=json&of=results").json["poll"] == answer.json["poll"]


def test_the_results_as_a_sheet(client: Client) -> None:
    """Whatever people wrote, no cell of it begins a formula; and CSV's own signs stay what they are."""
    texts = ["=1+1", "+49", "-5", "@SUM(A1)", 'a "b", c', "two\nlines", "\u200b=1", "＝1", "plain", "1e5"]
    poll = create(client, *texts, question='=HYPERLINK("http://example.com")')
    accepted(client, poll, "5")
    counted(client, poll, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0)
    answer = export(client, poll, "?format=csv")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="poll-{poll.id}.csv"'
    found = rows(answer)
    assert [row["option_id"] for row in found] == [str(number) for number in range(1, 11)]
    assert [row["option"] for row in found] == [
        "'=1+1", "'+49", "'-5", "'@SUM(A1)", 'a "b", c', "two\nlines", "'\u200b=1", "'＝1", "plain", "1e5",
    ]  # fmt: skip
    assert {row["question"] for row in found} == {'\'=HYPERLINK("http://example.com")'}
    assert [row["votes"] for row in found] == ["0", "0", "0", "0", "1", "0", "0", "0", "0", "0"]
    assert (found[4]["share"], found[0]["share"], found[0]["total_votes"]) == ("1.0", "0.0", "1")
    assert (found[0]["status"], found[0]["final"], found[0]["closes_at"]) == ("open", "false", "")
    assert datetime.fromisoformat(found[0]["created_at"]) == datetime.fromisoformat(poll.answer["created_at"])
    assert datetime.fromisoformat(found[0]["exported_at"]).tzinfo is not None


def test_the_ballots_are_for_whoever_made_the_poll(client: Client, poll: Made) -> None:
    for query in ("?of=ballots", "?of=ballots&format=csv"):
        assert client.get(f"{poll.path}/export{query}").code == "token_missing"
        wrong = client.get(f"{poll.path}/export{query}", Authorization=f"Bearer {create(client).token}")
        assert wrong.code == "token_wrong"
    assert export(client, poll, "?of=ballots", **poll.admin).body == b""
    assert rows(export(client, poll, "?of=ballots&format=csv", **poll.admin)) == []


def test_every_ballot_that_counts_has_a_line(client: Client) -> None:
    """Many pages of them, as NDJSON and as CSV; a vote that moved has one, and no voter's name is in it."""
    poll = create(client, "Yes", "=No")
    lines = [{"option": str(1 + number % 2), "idempotency_key": f"key {number}"} for number in range(2500)]
    sent = batch(client, poll, lines, Prefer="return=representation").expect(202)
    counted(client, poll, 1250, 1250)
    wanted = {one["vote_id"]: str(1 + (one["line"] - 1) % 2) for one in sent["votes"]}
    answer = export(client, poll, "?of=ballots", **poll.admin)
    assert answer.headers["Content-Type"] == "application/x-ndjson; charset=utf-8"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="poll-{poll.id}-ballots.ndjson"'
    found = [json.loads(line) for line in answer.body.splitlines()]
    assert len(found) == 2500
    assert {one["vote_id"]: one["option_id"] for one in found} == wanted
    assert all(one["option"] == {"1": "Yes", "2": "=No"}[one["option_id"]] for one in found)
    made = datetime.fromisoformat(poll.answer["created_at"])
    assert all(set(one) == {"vote_id", "option_id", "option", "logged_at"} for one in found)
    assert all(datetime.fromisoformat(one["logged_at"]) >= made for one in found)
    sheet = export(client, poll, "?of=ballots&format=csv", **poll.admin)
    assert sheet.headers["Content-Disposition"] == f'attachment; filename="poll-{poll.id}-ballots.csv"'
    by_sheet = rows(sheet)
    assert {row["vote_id"].removeprefix("'"): row["option_id"] for row in by_sheet} == wanted
    assert {row["option"] for row in by_sheet} == {"Yes", "'=No"}
    assert client.get(poll.path).status == 200, "the connection can be used again"


def test_who_goes_away_in_the_middle_of_a_long_file(client: Client) -> None:
    """Is no fault of ours, and keeps nobody else waiting; whoever stays gets all of it."""
    poll = create(client)
    for _ in range(3):
        batch(client, poll, [{"option": "1"}] * 10_000).expect(202)
    counted(client, poll, 30_000, 0)
    with socket.create_connection((client.host, client.port), 30) as going:
        going.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        head = f"GET {poll.path}/export?of=ballots HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {poll.token}\r\n\r\n"
        going.sendall(head.encode())
        assert going.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n")
    assert client.request("HEAD", f"{poll.path}/export?of=ballots", headers=poll.admin).status == 200
    answer = export(client, poll, "?of=ballots", **poll.admin)
    assert len({json.loads(line)["vote_id"] for line in answer.body.splitlines()}) == 30_000


def test_a_vote_that_moved_has_one_line(client: Client) -> None:
    poll = create(client, one_vote_per="voter")
    for option in ("1", "2"):
        vote(client, poll, option, "ada", Prefer="wait=10", **poll.admin).expect(200)
    answer = export(client, poll, "?of=ballots", **poll.admin)
    [line] = [json.loads(line) for line in answer.body.splitlines()]
    assert line["option_id"] == "2"
    assert b"ada" not in answer.body
