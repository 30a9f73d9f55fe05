"""Measuring: the limit of counting: the statement alone, on bare connections, with arrays that are ready.

Run as `python -m bench.bare_counting FIRST POLLS CHANGING BATCH VOTES…`, with the database's URL on standard input;
the polls are numbered from FIRST, CHANGING is 1 where voters change their votes, and each number of VOTES is a process
with a connection. Says `ready`, then as JSON the seconds that all took together, and the votes by option.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from multiprocessing.synchronize import Barrier
from typing import NamedTuple

from bench.http_accept import OPTIONS
from bench.producing import Electorate
from polling.core import ballots, positions
from polling.core.votes import Covered
from polling.store import arrays
from polling.store.counting import Casts, CountingConnection

GENERATION = 127
"""One that no log has, so that these ranges are nobody's."""

_LIMIT = 300.0


class Share(NamedTuple):
    """What one connection counts. `first` is the number of the first poll."""

    first: int
    polls: int
    changing: bool
    batch: int
    partition: int
    votes: int


def main(first: int, polls: int, changing: bool, batch: int, votes: list[int]) -> None:
    """Starts a process a connection, and times them from the moment in which all are ready."""
    print("ready", flush=True)
    url = sys.stdin.readline().strip()
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(len(votes) + 1)
    counts = context.SimpleQueue()
    shares = [Share(first, polls, changing, batch, partition, share) for partition, share in enumerate(votes)]
    processes = [context.Process(target=_count, args=(url, share, barrier, counts), daemon=True) for share in shares]
    for process in processes:
        process.start()
    found = [counts.get() for _ in processes]
    barrier.wait(_LIMIT)
    begun = time.monotonic()
    for process in processes:
        process.join()
    seconds = time.monotonic() - begun
    if any(process.exitcode for process in processes):
        sys.exit(1)
    print(json.dumps({"seconds": seconds, "counts": [sum(column) for column in zip(*found, strict=True)]}), flush=True)


def _count(url: str, share: Share, barrier: Barrier, counts: multiprocessing.SimpleQueue[list[int]]) -> None:
    electorate = Electorate(share.polls, share.changing, share.votes)
    made: list[bytes] = []
    batches = []
    for begin in range(0, share.votes, share.batch):
        end = min(begin + share.batch, share.votes)
        batches.append(
            (casts_of(share, electorate, made, begin, end), Covered(GENERATION, share.partition, begin, end))
        )
    connection = CountingConnection(url)
    connection.count(Casts(), [share.first], [], False)  # connects, and plans
    counts.put(electorate.counts)
    barrier.wait(_LIMIT)
    for (casts, polls), covered in batches:
        connection.count(casts, polls, [covered], False)
    connection.close()


def casts_of(share: Share, electorate: Electorate, made: list[bytes], begin: int, end: int) -> tuple[Casts, list[int]]:
    """The casts of a batch, and its polls in order. `made` are the voters' ballots so far."""
    at = arrays.timestamptz(int(time.time() * 1000))
    base = positions.base(GENERATION, share.partition)
    casts, polls = Casts(), set()
    for offset in range(begin, end):
        voter, poll, option = electorate.next()
        if voter == len(made):
            # To a tree an HMAC is a random number.
            made.append(arrays.uuid(os.urandom(16) if share.changing else ballots.fresh()))
        polls.add(share.first + poll)
        casts.polls.append(arrays.int8(share.first + poll))
        casts.ballots.append(made[voter])
        casts.options.append(_OPTIONS[option])
        casts.positions.append(arrays.int8(base | offset))
        casts.times.append(at)
    return casts, sorted(polls)


_OPTIONS = [arrays.int2(number) for number in range(len(OPTIONS) + 1)]

if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "1", int(sys.argv[4]), [int(word) for word in sys.argv[5:]])
