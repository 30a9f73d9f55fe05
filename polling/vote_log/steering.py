"""Step 2 of 7, log: ballots for plain votes, made so that votes which come together go into one batch of Kafka's.

A producer sends a request for each partition that has something, however little, and a broker spends far more on a
request than on a record: 64 voters spread over eight partitions cost eight requests. Which partition a record goes to
follows from its key, the ballot (`murmur2_random`), and a plain vote's ballot is ours to choose. So all plain votes
of a few milliseconds get ballots of one partition, those after them of another, as Java's producer does with records
that have no key at all (KIP-480). Whoever partitions by the key finds them where they should be.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable

from polling.core.ballots import BALLOT_BYTES

HELD = 0.002
"""Seconds for which one partition gets all plain votes; as long as the producer lingers, or longer."""

MOST = 2_000
"""Votes for one partition in a row, so that a burst spreads as well."""

_M, _SEED = 0x5BD1E995, 0x9747B28C
_UNDO = pow(_M, -1, 1 << 32)
_LOW = 0xFFFFFFFF
_POSITIVE = 0x7FFFFFFF


class Steering:
    """Makes ballots: 48 bits of milliseconds and 48 random ones, the same for all that go together, then 32 by which
    they differ and that lead them to their partition.

    Austin Appleby's MurmurHash2 (the variant of Kafka's clients) takes four bytes at a time, and each of its steps
    can be undone. So the last four bytes are computed from the hash that is wanted: other hashes, other ballots.
    `clock` gives monotonic seconds.
    """

    def __init__(self, partitions: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._partitions = partitions
        self._clock = clock
        self._partition = random.randrange(partitions)  # noqa: S311 (only spreads load)
        self._until = float("-inf")
        self._left = 0
        self._prefix = b""
        self._state = 0
        self._next = 0

    def fresh(self) -> bytes:
        """A new ballot of the partition that has its turn."""
        now = self._clock()
        if now >= self._until or not self._left:
            self._turn(now)
        self._left -= 1
        hashed = self._next
        self._next = hashed + self._partitions if hashed + self._partitions <= _POSITIVE else self._partition
        # The finish, undone …
        hashed ^= (hashed >> 15) ^ (hashed >> 30)
        hashed = hashed * _UNDO & _LOW
        hashed ^= (hashed >> 13) ^ (hashed >> 26)
        # … and the last block, of which the state before it is known.
        block = (hashed ^ self._state) * _UNDO & _LOW
        block ^= block >> 24
        return self._prefix + (block * _UNDO & _LOW).to_bytes(4, "little")

    def _turn(self, now: float) -> None:
        self._partition = (self._partition + 1) % self._partitions
        self._until, self._left = now + HELD, MOST
        self._prefix = int(time.time() * 1000).to_bytes(6) + os.urandom(6)
        self._state = _mixed(_SEED ^ BALLOT_BYTES, self._prefix) * _M & _LOW
        self._next = random.randrange((_POSITIVE + 1) // self._partitions) * self._partitions + self._partition  # noqa: S311


def _mixed(state: int, blocks: bytes) -> int:
    for at in range(0, len(blocks), 4):
        block = int.from_bytes(blocks[at : at + 4], "little") * _M & _LOW
        block = (block ^ (block >> 24)) * _M & _LOW
        state = (state * _M & _LOW) ^ block
    return state
