"""Frames as RFC 6455 wants them, and what clients may say."""

from __future__ import annotations

import json
import struct
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from polling.core.errors import AlreadyVoted, PollNotFound
from polling.core.leaderboard import Entry, Leaderboard, Option
from polling.core.polls import Poll, Results
from websocket import frames, requests


def unframe(frame: bytes) -> Any:
    """The JSON in one whole text frame."""
    assert frame[0] == 0x81, "final, text"
    length, start = frame[1], 2
    if length == 126:
        length, start = struct.unpack("!H", frame[2:4])[0], 4
    elif length == 127:
        length, start = struct.unpack("!Q", frame[2:10])[0], 10
    assert len(frame) == start + length
    return json.loads(frame[start:])


def a_poll(options: tuple[str, ...] = ("A", "B")) -> Poll:
    return Poll(
        number=1,
        id="poll",
        question="Q?",
        options=options,
        one_vote_per=None,
        allow_change=True,
        listed=True,
        created_at=datetime.now(UTC),
        closes_at=None,
        closed=False,
        deleted=False,
        key=b"k",
        admin_token_hash=b"h",
    )


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65535, 65536, 70000])
def test_every_length_has_its_header(length: int) -> None:
    frame = frames.text(json.dumps("x" * length).encode())
    assert unframe(frame) == "x" * length


def test_results_are_a_whole_snapshot() -> None:
    now = Results(poll_id="poll", revision=7, counts=(3, 1), status="open", final=False)
    assert unframe(frames.results(a_poll(), now)) == {
        "type": "results",
        "poll_id": "poll",
        "revision": 7,
        "total_votes": 4,
        "status": "open",
        "final": False,
        "options": [
            {"id": "1", "text": "A", "votes": 3, "share": 0.75},
            {"id": "2", "text": "B", "votes": 1, "share": 0.25},
        ],
    }
    empty = Results(poll_id="poll", revision=0, counts=(0, 0), status="closed", final=True)
    assert [option["share"] for option in unframe(frames.results(a_poll(), empty))["options"]] == [0, 0]


def test_the_leaderboard_frame() -> None:
    board = Leaderboard(datetime(2030, 1, 2, tzinfo=UTC), (Entry(1, "p", "Q?", Option("1", "A"), 3, 0.75),))
    assert unframe(frames.leaderboard(board)) == {
        "type": "leaderboard",
        "updated_at": "2030-01-02T00:00:00Z",
        "entries": [
            {
                "rank": 1,
                "poll_id": "p",
                "question": "Q?",
                "option": {"id": "1", "text": "A"},
                "votes": 3,
                "share": 0.75,
            }
        ],
    }


@pytest.mark.parametrize("ref", ['"a"', "null", "1.0", '{"a":[1,2]}', "12345678901234567890123"])
def test_ref_comes_back_as_it_was(ref: str) -> None:
    vote = requests.read('{"type":"vote","poll":"p","option":"A","ref":' + ref + "}")
    assert isinstance(vote, requests.Vote)
    for frame in (frames.accepted("v", vote.ref), frames.error(PollNotFound(), vote.ref)):
        assert f'"ref":{ref}'.encode() in frame


def test_without_ref_there_is_none() -> None:
    vote = requests.read('{"type":"vote","poll":"p","option":"A"}')
    assert isinstance(vote, requests.Vote)
    assert unframe(frames.accepted("v", vote.ref)) == {"type": "vote", "status": "accepted", "vote_id": "v"}


def test_an_error_carries_what_belongs_to_it() -> None:
    error = unframe(frames.error(AlreadyVoted("id"), msgspec.Raw(b"5")))
    assert error["code"] == "already_voted"
    assert error["vote_id"] == "id"
    assert error["ref"] == 5
    assert unframe(frames.error(PollNotFound(), poll_id="x"))["poll"] == "x"


@pytest.mark.parametrize(
    ("text", "request_"),
    [
        ('{"type":"ping"}', requests.Ping()),
        ('{"type":"subscribe","poll":"a"}', requests.Subscribe(poll="a")),
        ('{"poll":"a","type":"subscribe"}', requests.Subscribe(poll="a")),
        ('{"type":"subscribe","leaderboard":true}', requests.Subscribe(leaderboard=True)),
        ('{"type":"unsubscribe","leaderboard":true}', requests.Unsubscribe(leaderboard=True)),
    ],
)
def test_requests(text: str, request_: requests.Request) -> None:
    assert requests.read(text) == request_


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "malformed_json"),
        ("{", "malformed_json"),
        ("NaN", "malformed_json"),
        ('{"type":"vote","ref":NaN}', "malformed_json"),
        ('{"type":"ping"} {}', "malformed_json"),
        ('{"type":"vote","poll":"p","option":"\\ud800"}', "malformed_json"),
        ('{"type":"vote","poll":"p","option":"A","ref":' + "[" * 20000, "malformed_json"),
        ('{"type":"vote","poll":"p","option":"A","ref":' + "[" * 20000 + "]" * 20000 + "}", "malformed_json"),
        ("[" * 60000, "malformed_json"),
        ("[1, 2", "malformed_json"),
        ('{"type":"ping","more":', "malformed_json"),
        ("[]", "validation_error"),
        ("null", "validation_error"),
        ("{}", "validation_error"),
        ('{"type":"zz"}', "validation_error"),
        ('{"type":1}', "validation_error"),
        ('{"type":"ping","more":1}', "validation_error"),
        ('{"type":"subscribe"}', "validation_error"),
        ('{"type":"subscribe","poll":1}', "validation_error"),
        ('{"type":"subscribe","poll":"a","leaderboard":true}', "validation_error"),
        ('{"type":"subscribe","leaderboard":false}', "validation_error"),
        ('{"type":"vote","poll":"p"}', "validation_error"),
        ('{"type":"vote","poll":"p","option":1}', "validation_error"),
    ],
)
def test_what_is_no_request(text: str, code: str) -> None:
    with pytest.raises(requests.BadFrame) as caught:
        requests.read(text)
    assert caught.value.error.code == code
    assert unframe(frames.error(caught.value.error))["code"] == code


def test_a_bad_vote_gets_its_ref_back() -> None:
    with pytest.raises(requests.BadFrame) as caught:
        requests.read('{"type":"vote","ref":{"n":1},"option":2,"poll":"p"}')
    assert unframe(frames.error(caught.value.error, caught.value.ref))["ref"] == {"n": 1}
    assert caught.value.error.extra["errors"][0]["pointer"] == "#/option"
