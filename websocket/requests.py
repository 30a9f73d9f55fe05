"""Step 7 of 7, show: what a client may say, read from one text frame."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from polling.core.errors import BadRequest, PollingError, ValidationError


class _Request(msgspec.Struct, tag_field="type", forbid_unknown_fields=True):
    pass


class _About(_Request):
    """One poll, or the leaderboard."""

    poll: str | UnsetType = UNSET
    leaderboard: Literal[True] | UnsetType = UNSET

    def __post_init__(self) -> None:
        if (self.poll is UNSET) == (self.leaderboard is UNSET):
            raise ValueError('Name either a "poll" or "leaderboard": true')


class Subscribe(_About, tag="subscribe"):
    """Show it, now and at each change. `vote` is a vote id, and `admin_token` the poll's, by which results are shown
    that are not for everybody; `viewers`: and how many sockets watch it.
    """

    vote: str | UnsetType = UNSET
    admin_token: str | UnsetType = UNSET
    viewers: Literal[True] | UnsetType = UNSET

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.poll is UNSET and (self.vote, self.admin_token, self.viewers) != (UNSET, UNSET, UNSET):
            raise ValueError('"vote", "admin_token" and "viewers" are about a poll')


class Unsubscribe(_About, tag="unsubscribe"):
    """Do not show it any more."""


class Vote(_Request, tag="vote"):
    """Cast a vote. `ref` is anything, and comes back with the answer."""

    poll: str
    option: str
    ref: Raw = Raw()
    idempotency_key: str | None = None


class Ping(_Request, tag="ping"):
    """Answer, if you are there."""


Request = Subscribe | Unsubscribe | Vote | Ping

_request: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_fields = msgspec.json.Decoder(dict[str, Raw])

_NO_JSON = "The frame is not valid JSON in UTF-8."


class BadFrame(Exception):
    """A frame that is no request. Carries the error to answer, and its `ref` where it has one."""

    def __init__(self, error: PollingError, ref: Raw | None = None) -> None:
        super().__init__(error.detail)
        self.error = error
        self.ref = ref


def read(frame: str) -> Request:
    """The request in a text frame.

    Raises:
        BadFrame: with `malformed_json`, or `validation_error` for an unknown type or field.
    """
    try:
        return _request.decode(frame)
    except msgspec.ValidationError as error:
        # It is named before the end is read: what comes after may be no JSON at all.
        if not _is_json(frame):
            raise BadFrame(BadRequest(_NO_JSON)) from error
        detail, _, path = str(error).partition(" - at ")
        fault = ValidationError.at(_pointer(path), f"{detail}.")
        raise BadFrame(fault, ref_of(frame)) from error
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise BadFrame(BadRequest(_NO_JSON)) from error


def ref_of(frame: str) -> Raw | None:
    """The `ref` of a frame that may be anything."""
    try:
        return _fields.decode(frame).get("ref")
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None


def _is_json(frame: str) -> bool:
    try:
        msgspec.json.decode(frame)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return False
    return True


def _pointer(path: str) -> str:
    """msgspec's `$.option[0]` as a JSON pointer in a URI fragment."""
    return "#" + path.strip("`").removeprefix("$").replace(".", "/").replace("[", "/").replace("]", "")
