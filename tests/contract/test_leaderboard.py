"""The contract's tests: the leaderboard: the options with the most votes over all open, listed polls."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from support.http import Client
from support.polls import Made, batch, counted, create
from support.waiting import until

ENTRY = {"rank", "poll_id", "question", "option", "votes", "share"}


def board(client: Client, limit: int = 100) -> list[dict[str, Any]]:
    answer = client.get(f"/api/leaderboard?limit={limit}").expect(200)
    assert set(answer) == {"updated_at", "entries"}
    entries = answer["entries"]
    assert isinstance(entries, list)
    return entries


def filled(client: Client, *votes: int, **fields: Any) -> Made:
    """A poll whose options have so many votes each."""
    poll = create(client, *(f"option {number}" for number in range(1, len(votes) + 1)), **fields)
    lines = [{"option": str(option)} for option, count in enumerate(votes, 1) for _ in range(count)]
    batch(client, poll, lines).expect(202)
    counted(client, poll, *votes)
    return poll


def shown(client: Client, *polls: Made) -> list[tuple[str, str, int]]:
    """What the leaderboard has of these polls, in its order."""
    ids = {poll.id for poll in polls}
    return [(e["poll_id"], e["option"]["id"], e["votes"]) for e in board(client) if e["poll_id"] in ids]


def until_shown(client: Client, wanted: list[tuple[str, str, int]], *polls: Made) -> None:
    until(lambda: shown(client, *polls) == wanted, f"the leaderboard shows {wanted}")


def test_its_entries(client: Client) -> None:
    poll = filled(client, 900, 0, 300, question="Best?")
    until_shown(client, [(poll.id, "1", 900), (poll.id, "3", 300)], poll)
    entries = [entry for entry in board(client) if entry["poll_id"] == poll.id]
    assert all(set(entry) == ENTRY for entry in entries)
    assert {name: entries[0][name] for name in ENTRY - {"rank"}} == {
        "poll_id": poll.id,
        "question": "Best?",
        "option": {"id": "1", "text": "option 1"},
        "votes": 900,
        "share": 0.75,
    }


def test_ranks_run_from_one_and_votes_fall(client: Client) -> None:
    filled(client, 30, 20)
    entries = board(client)
    assert [entry["rank"] for entry in entries] == list(range(1, len(entries) + 1))
    votes = [entry["votes"] for entry in entries]
    assert votes == sorted(votes, reverse=True)
    assert all(votes), "options without votes are left out"


def test_ties_go_to_the_older_poll_then_to_the_lower_id(client: Client) -> None:
    older, newer = filled(client, 211, 211), filled(client, 205, 211, 211)
    wanted = [
        (older.id, "1", 211),
        (older.id, "2", 211),
        (newer.id, "2", 211),
        (newer.id, "3", 211),
        (newer.id, "1", 205),
    ]
    until_shown(client, wanted, older, newer)


def test_ids_are_compared_as_numbers(client: Client) -> None:
    poll = filled(client, *[60] * 11)
    until_shown(client, [(poll.id, str(option), 60) for option in range(1, 12)], poll)


def test_who_is_left_out(client: Client) -> None:
    unlisted = filled(client, 400, 350, listed=False)
    open_, closed, deleted = (filled(client, 400, 350) for _ in range(3))
    until(lambda: len(shown(client, open_, closed, deleted)) == 6, "all three are shown")
    client.post(f"{closed.path}/close", **closed.admin).expect(200)
    client.delete(deleted.path, **deleted.admin).expect(204)
    wanted = [(open_.id, "1", 400), (open_.id, "2", 350)]
    until_shown(client, wanted, unlisted, open_, closed, deleted)


def test_its_limit(client: Client) -> None:
    poll = filled(client, *[500] * 20)
    until(lambda: len(shown(client, poll)) == 20, "all options are shown")
    assert len(client.get("/api/leaderboard").expect(200)["entries"]) == 10
    assert [len(board(client, limit)) for limit in (1, 3, 12)] == [1, 3, 12]
    assert board(client, 3) == board(client, 12)[:3]


@pytest.mark.parametrize("limit", ["0", "101", "-1", "x", "", "1e1"])
def test_limits_that_are_refused(client: Client, limit: str) -> None:
    answer = client.get(f"/api/leaderboard?limit={limit}")
    assert (answer.status, answer.code) == (422, "validation_error")


def test_it_is_made_again_and_again(client: Client) -> None:
    def updated() -> datetime:
        return datetime.fromisoformat(client.get("/api/leaderboard").expect(200)["updated_at"])

    first = updated()
    until(lambda: updated() > first, "the leaderboard is made anew", limit=15)
