"""Step 2 of 7, log: where a vote stands in the log, as one number that can be compared.

A log position is (generation, partition, offset). It is packed into one signed 64-bit number so that
PostgreSQL can store and compare it: 7 bits of generation, 14 of partition, 42 of offset. Positions of
different generations compare by generation first.

The *rank* of a cast decides which of a ballot's casts counts: the greater one. It is the position where
the last cast wins, and the position's negative where the first does.
"""

from __future__ import annotations

OFFSET_BITS = 42
PARTITION_BITS = 14
GENERATION_BITS = 7

MAX_OFFSET = (1 << OFFSET_BITS) - 1
MAX_PARTITION = (1 << PARTITION_BITS) - 1
MAX_GENERATION = (1 << GENERATION_BITS) - 1


def pack(generation: int, partition: int, offset: int) -> int:
    """One number for a position. Generations start at 1, so that no position is 0.

    Raises:
        ValueError: a part lies outside of its bits.
    """
    if not (1 <= generation <= MAX_GENERATION and 0 <= partition <= MAX_PARTITION and 0 <= offset <= MAX_OFFSET):
        raise ValueError(f"no log position: generation {generation}, partition {partition}, offset {offset}")
    return base(generation, partition) | offset


def base(generation: int, partition: int) -> int:
    """The position of offset 0, to which offsets may be added in a loop."""
    return (generation << (PARTITION_BITS + OFFSET_BITS)) | (partition << OFFSET_BITS)


def unpack(position: int) -> tuple[int, int, int]:
    """(generation, partition, offset) of a packed position."""
    return (
        position >> (PARTITION_BITS + OFFSET_BITS),
        (position >> OFFSET_BITS) & MAX_PARTITION,
        position & MAX_OFFSET,
    )


def rank(position: int, last_wins: bool) -> int:
    """The number by which casts of one ballot are compared: the greater one counts."""
    return position if last_wins else -position
