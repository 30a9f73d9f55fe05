"""Steps 1 to 5 of 7: a vote's messages. Requests are imperative (`CastVote`), facts are past (`VoteState`)."""

from __future__ import annotations

import binascii
from typing import Literal

import msgspec

VoteStatus = Literal["accepted", "counted", "rejected"]


class CastVote(msgspec.Struct, frozen=True):
    """Somebody wants to vote. `option` is a text or an id; `voter` is one that is known to be who it says."""

    poll_id: str
    option: str
    idempotency_key: str | None = None
    voter: str | None = None


class VoteState(msgspec.Struct, frozen=True):
    """What became of a ballot. `option` is the number of the one that counts; `rejected` has (option, reason)."""

    status: VoteStatus
    option: int | None
    rejected: tuple[tuple[int, str], ...]
    revision: int


def state(counts: int | None, rejected: list[tuple[int, str]], revision: int, keyed: bool) -> VoteState:
    """The state of a ballot from what is stored of it. A rejected cast of the option that counts is none.

    `keyed`: the ballot was not a known voter's, so that only an Idempotency-Key can have brought it back.
    """
    taken = "idempotency_key_reused" if keyed else "already_voted"
    others = tuple((option, taken if reason == "taken" else reason) for option, reason in rejected if option != counts)
    status: VoteStatus = "counted" if counts is not None else "rejected" if others else "accepted"
    return VoteState(status, counts, others, revision)


class VoteRecord(msgspec.Struct, frozen=True, gc=False):
    """One record of the topic `votes`. Other programs may write such; fields it does not name are passed over.

    `ballot` in 32 hex digits; `option` is an option id; `at` in milliseconds since 1970, or none.
    """

    poll: str
    ballot: str
    option: str
    at: int | float | None = None


_decoder = msgspec.json.Decoder(VoteRecord)


def read_vote(value: bytes) -> tuple[VoteRecord, bytes] | None:
    """The vote that a record's value holds, and its ballot's 16 bytes; None where it is no vote and never can be."""
    try:
        vote = _decoder.decode(value)
        ballot = bytes.fromhex(vote.ballot) if len(vote.ballot) == 32 else b""
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return (vote, ballot) if len(ballot) == 16 else None


def read_votes(values: list[bytes]) -> tuple[list[VoteRecord], list[bytes]] | None:
    """The votes that these values hold, and their ballots, as `read_vote` would find them, only faster; None where one
    of them is no vote, or cannot be told at this speed."""
    lines = b"\n".join(values)
    try:
        votes = _decoder.decode_lines(lines)
        ballots = [vote.ballot for vote in votes]
        raw = list(map(binascii.unhexlify, ballots))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    # The decoder takes what follows in one line for another vote, and goes on in the next where one has not ended. But
    # between "}" and "{" a vote always ends. Where all values meet so, each is one vote at least, and as many votes as
    # values are one in each.
    whole = lines.startswith(b"{") and lines.count(b"\n") == lines.count(b"}\n{") == len(values) - 1 == len(votes) - 1
    return (votes, raw) if whole and set(map(len, ballots)) == {32} else None


class Slice(msgspec.Struct, frozen=True, array_like=True):
    """Consecutive records of one partition, from offset `first` to before `next`, gaps included.

    `offsets`, `times` (the log's own, milliseconds since 1970) and `values` run side by side; they may be empty.
    """

    generation: int
    partition: int
    first: int
    next: int
    offsets: list[int]
    times: list[int]
    values: list[bytes]


class Covered(msgspec.Struct, frozen=True, array_like=True):
    """A fact of PostgreSQL's: every record from `first` to before `next` is counted or judged."""

    generation: int
    partition: int
    first: int
    next: int


COUNTED_CHANNEL = "counted"
"""PostgreSQL's notification channel: one a batch, its payload is `note(…)`. A hint: the tables have the truth."""

_MAX_NOTE = 7900  # bytes; PostgreSQL takes 8000


def note(ranges: list[Covered]) -> str:
    """The ranges as a notification's payload; empty where they are too many, which means "look for yourself"."""
    text = ",".join(f"{r.generation}:{r.partition}:{r.first}:{r.next}" for r in ranges)
    return text if len(text) <= _MAX_NOTE else ""


def read_note(text: str) -> list[Covered]:
    """The ranges that a payload names."""
    return [Covered(*map(int, part.split(":"))) for part in text.split(",") if part]
