"""Tests: polls, and votes in them, as a client makes and watches them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from support.http import Answer, Client
from support.waiting import until


class Made(NamedTuple):
    """A poll that a test made; `token` is its admin token."""

    id: str
    token: str
    answer: dict[str, Any]

    @property
    def path(self) -> str:
        return f"/api/polls/{self.id}"

    @property
    def admin(self) -> dict[str, str]:
        """The header that closes and deletes it, as keyword arguments of the client."""
        return {"Authorization": f"Bearer {self.token}"}


def create(client: Client, *options: str, **fields: Any) -> Made:
    """A new poll; two options where none are named."""
    body = {"question": "Which one?", "options": options or ("Yes", "No"), **fields}
    answer = client.post("/api/polls", body).expect(201)
    return Made(answer["id"], answer["admin_token"], answer)


def closing_soon(client: Client, *options: str, seconds: float = 1.0, **fields: Any) -> Iterator[Made]:
    """Polls that close by themselves in `seconds`, each later than the one before.

    For tests that need something done before the end, and go on to the next poll where it was not: how long that takes
    says more about the machine than about the code.
    """
    for _ in range(6):
        closes_at = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
        body = {"question": "Which one?", "options": options or ("Yes", "No"), "closes_at": closes_at, **fields}
        answer = client.post("/api/polls", body)
        # A time that was over when the door read of it is no fault of the door's.
        if not (answer.status == 422 and is_over(closes_at)):
            made = answer.expect(201)
            yield Made(made["id"], made["admin_token"], made)
        seconds *= 2
    raise AssertionError(f"a poll's {seconds / 2:g} s were over each time before the test was ready")


def is_over(time: str, seconds: float = 0.0) -> bool:
    """Whether a time is over, by so many seconds."""
    return datetime.now(UTC) > datetime.fromisoformat(time) + timedelta(seconds=seconds)


def vote(client: Client, poll: Made, option: str = "1", voter: str | None = None, **headers: str) -> Answer:
    """One vote; `headers` with `_` for `-`."""
    body = {"option": option} if voter is None else {"option": option, "voter": voter}
    return client.post(f"{poll.path}/vote", body, **headers)


def accepted(client: Client, poll: Made, option: str = "1", voter: str | None = None, **headers: str) -> str:
    """The id of a vote that must be accepted."""
    vote_id = vote(client, poll, option, voter, **headers).expect(202)["vote_id"]
    assert isinstance(vote_id, str)
    return vote_id


def batch(client: Client, poll: Made, lines: Iterable[Mapping[str, Any] | str], **headers: str) -> Answer:
    """Votes in one request; a line that is a string is sent as it is."""
    body = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.request(
        "POST",
        f"{poll.path}/votes/batch",
        body=body.encode(),
        headers={"Content-Type": "application/x-ndjson", **named},
    )


def results(client: Client, poll: Made) -> dict[str, Any]:
    """The poll as it can be read now."""
    read = client.get(poll.path).expect(200)
    assert isinstance(read, dict)
    return read


def counts(read: dict[str, Any]) -> list[int]:
    """The votes of each option, in order."""
    return [option["votes"] for option in read["options"]]


def counted(client: Client, poll: Made, *votes: int) -> dict[str, Any]:
    """The poll once its options have so many votes each."""
    wanted = list(votes)

    def look() -> dict[str, Any] | None:
        read = results(client, poll)
        assert sum(counts(read)) <= sum(wanted), f"{counts(read)} is more than {wanted}"
        return read if counts(read) == wanted else None

    read = until(look, f"the votes are {wanted}")
    assert read is not None
    assert read["total_votes"] == sum(wanted)
    return read


def status(client: Client, poll: Made, vote_id: str) -> dict[str, Any]:
    """What became of a vote so far."""
    answer = client.get(f"{poll.path}/votes/{vote_id}").expect(200)
    assert isinstance(answer, dict)
    return answer


def decided(client: Client, poll: Made, vote_id: str) -> dict[str, Any]:
    """What became of a vote, once that is known."""
    state = until(
        lambda: (read := status(client, poll, vote_id))["status"] != "accepted" and read, f"vote {vote_id} is decided"
    )
    assert isinstance(state, dict)
    return state


def final(client: Client, poll: Made) -> dict[str, Any]:
    """A closed poll once nothing can change any more."""
    read = until(lambda: (read := results(client, poll))["final"] and read, f"poll {poll.id} is final")
    assert isinstance(read, dict)
    assert read["status"] == "closed"
    return read


def shown(option: str, text: str) -> dict[str, str]:
    """An option as every answer shows it."""
    return {"id": option, "text": text}
