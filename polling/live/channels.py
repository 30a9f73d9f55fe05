"""Step 6 of 7, tell: every channel and key in Redis, each named once, and what stands in it."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

import msgspec

from polling.core.leaderboard import Entry, Leaderboard
from polling.core.polls import Poll, Results

SHARDS = 64
"""Results are spread over this many channels by poll id, so that a process hears only of shards it shows."""

LEADERBOARD = "polling:leaderboard"
"""Channel: the whole leaderboard as JSON, each time its entries changed."""

LEADERBOARD_TOP = "polling:leaderboard:top"
"""Sorted set: each member an entry as JSON, its score the rank. Replaced as a whole."""

LEADERBOARD_UPDATED_AT = "polling:leaderboard:updated_at"
"""When the sorted set was made, RFC 3339. Where it is missing there is no leaderboard in Redis, not an empty one."""

LEADERBOARD_SECONDS = 15
"""Beat writes it each second: one that is older than this is not worth showing, PostgreSQL has a better one."""

LOG = "polling:log"
"""Key: the topic that votes are written to, and its generation, for doors that start while PostgreSQL is away."""

DOORS = "polling:doors"
"""Set: the names of the door processes that told of their sockets. One that has no numbers any more is taken out."""

ATTENDANCE_SECONDS = 8
"""How long a door's numbers stay without a word of it: it says one every two seconds, also where nothing changed."""

POLL_SECONDS = 86_400
BALLOT_SECONDS = 3_600

_results = msgspec.json.Decoder(tuple[Results, ...])
_leaderboard = msgspec.json.Decoder(Leaderboard)
_entry = msgspec.json.Decoder(Entry)
_poll = msgspec.json.Decoder(Poll)
_time = msgspec.json.Decoder(datetime)
_log = msgspec.json.Decoder(tuple[str, int])
_encode = msgspec.json.Encoder().encode


def results(shard: int) -> str:
    """Channel: JSON array of `Results`, one message for each batch and shard, published after the commit."""
    return f"polling:results:{shard}"


def shard_of(poll_id: str) -> int:
    """The shard that tells of this poll."""
    return zlib.crc32(poll_id.encode()) % SHARDS


def poll_key(poll_id: str) -> str:
    """Key: the definition of a poll, for doors that meet it while PostgreSQL is away. Kept a day."""
    return f"polling:poll:{poll_id}"


def ballot_key(ballot: bytes) -> str:
    """Key: the option that a ballot was cast for, written after Kafka's acknowledgement. Kept an hour."""
    return f"polling:ballot:{ballot.hex()}"


def attendance_key(door: str) -> str:
    """Hash: for each poll that sockets of this door watch, how many. Kept for `ATTENDANCE_SECONDS`."""
    return f"polling:attendance:{door}"


def by_shard(changed: Iterable[Results]) -> list[tuple[str, bytes]]:
    """(channel, payload) for each shard that has news; of one poll the greatest revision alone."""
    newest: dict[str, Results] = {}
    for one in changed:
        known = newest.get(one.poll_id)
        if known is None or one.revision >= known.revision:
            newest[one.poll_id] = one
    shards: defaultdict[int, list[Results]] = defaultdict(list)
    for poll_id, one in newest.items():
        shards[shard_of(poll_id)].append(one)
    return [(results(shard), _encode(group)) for shard, group in shards.items()]


def read_results(payload: bytes) -> tuple[Results, ...]:
    """The payload of a results channel. Raises msgspec.DecodeError where it is none."""
    return _results.decode(payload)


def encode_leaderboard(board: Leaderboard) -> bytes:
    return _encode(board)


def read_leaderboard(payload: bytes) -> Leaderboard:
    """The payload of the leaderboard's channel. Raises msgspec.DecodeError where it is none."""
    return _leaderboard.decode(payload)


def encode_entry(entry: Entry) -> bytes:
    return _encode(entry)


def assemble_leaderboard(updated_at: bytes, entries: Iterable[bytes]) -> Leaderboard:
    """The leaderboard from the two keys' values. Raises msgspec.DecodeError where they are none."""
    return Leaderboard(updated_at=_time.decode(updated_at), entries=tuple(map(_entry.decode, entries)))


def encode_time(time: datetime) -> bytes:
    return _encode(time)


def encode_poll(poll: Poll) -> bytes:
    return _encode(poll)


def read_poll(payload: bytes) -> Poll:
    """The value of a poll's key. Raises msgspec.DecodeError where it is none."""
    return _poll.decode(payload)


def encode_log(topic: str, generation: int) -> bytes:
    return _encode((topic, generation))


def read_log(payload: bytes) -> tuple[str, int]:
    """The value of LOG. Raises msgspec.DecodeError where it is none."""
    return _log.decode(payload)
