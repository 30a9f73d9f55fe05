"""JSON bodies: what is told of one that cannot be taken."""

from __future__ import annotations

import pytest

from polling.api.answers import Vote
from polling.api.body import JsonBody, require_media_type
from polling.core.errors import BadRequest, UnsupportedMediaType, ValidationError
from polling.core.polls import CreatePoll

_create = JsonBody(CreatePoll)
_vote = JsonBody(Vote)


def pointers(body: bytes) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        _create.read(body)
    return [error["pointer"] for error in caught.value.extra["errors"]]


def test_reads_what_is_right() -> None:
    assert _vote.read(b'{"option": "\xc3\xa9"}') == Vote("é")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"option": "\xff"}',
        b'{"other": "\xff"}',
        b'{"option": NaN}',
        b'{"option": Infinity}',
        b'{"option": "a"} b',
        b"\xef\xbb\xbf{}",
        b"[" * 60_000,
        b'{"other": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    ],
)
def test_what_is_no_json(body: bytes) -> None:
    with pytest.raises(BadRequest):
        _vote.read(body)


@pytest.mark.parametrize("body", [b"[]", b"null", b'"text"', b"1", b"true"])
def test_json_that_is_no_object(body: bytes) -> None:
    assert pointers(body) == ["#"]


def test_every_fault_is_told_with_its_place() -> None:
    body = b'{"question": 1, "options": ["a", 2], "closes_at": "soon", "a/b~c d": 1}'
    assert sorted(pointers(body)) == ["#/a~1b~0c%20d", "#/closes_at", "#/options/1", "#/question"]


def test_missing_fields_are_named() -> None:
    assert pointers(b"{}") == ["#/question", "#/options"]


def test_a_number_out_of_range_is_no_malformed_json() -> None:
    with pytest.raises(ValidationError):
        _vote.read(b'{"option": "a", "voter": 1e999}')


def test_no_more_faults_than_anybody_reads() -> None:
    body = b"{" + b",".join(b'"x%d": 1' % number for number in range(500)) + b"}"
    assert len(pointers(body)) == 20


@pytest.mark.parametrize(
    "header", ["application/json", "Application/JSON ; Charset=UTF-8", 'application/json; charset="utf-8"']
)
def test_media_types_that_are_taken(header: str) -> None:
    require_media_type(header, "application/json")


@pytest.mark.parametrize(
    "header",
    [None, "", "text/plain", "application/jsonx", "application/json; charset=latin-1", "text/json, application/json"],
)
def test_media_types_that_are_refused(header: str | None) -> None:
    with pytest.raises(UnsupportedMediaType):
        require_media_type(header, "application/json")
