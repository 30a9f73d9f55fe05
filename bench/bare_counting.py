"""Measuring: the limit of counting: the statement alone, on bare connections, with arrays that are ready.

Run as `python -m bench.bare_counting POLL OPTIONS BATCH VOTES…`, with the database's URL on standard input; each
number of VOTES is a process with a connection. Says `ready`, then the seconds that all took together.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from multiprocessing.synchronize import Barrier

from polling.core import ballots, positions
from polling.core.votes import Covered
from polling.store import arrays
from polling.store.counting import Casts, CountingConnection

GENERATION = 127
"""One that no log has, so that these ranges are nobody's."""


def main(poll: int, options: int, batch: int, shares: list[int]) -> None:
    """Starts a process a connection, and times them from the moment in which all are ready."""
    print("ready", flush=True)
    url = sys.stdin.readline().strip()
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(len(shares) + 1)
    processes = [
        context.Process(target=_count, args=(url, poll, options, batch, partition, votes, barrier), daemon=True)
        for partition, votes in enumerate(shares)
    ]
    for process in processes:
        process.start()
    barrier.wait(120)
    begun = time.monotonic()
    for process in processes:
        process.join()
    seconds = time.monotonic() - begun
    if any(process.exitcode for process in processes):
        sys.exit(1)
    print(seconds, flush=True)


def _count(url: str, poll: int, options: int, batch: int, partition: int, votes: int, barrier: Barrier) -> None:
    batches = [
        (_casts(poll, options, partition, first, min(batch, votes - first)), first) for first in range(0, votes, batch)
    ]
    connection = CountingConnection(url)
    connection.count(Casts(), [poll], [], False)  # connects, and plans
    barrier.wait(120)
    for casts, first in batches:
        connection.count(casts, [poll], [Covered(GENERATION, partition, first, first + len(casts))], False)
    connection.close()


def _casts(poll: int, options: int, partition: int, first: int, votes: int) -> Casts:
    now = int(time.time() * 1000)
    base = positions.base(GENERATION, partition)
    return Casts(
        polls=[arrays.int8(poll)] * votes,
        ballots=[arrays.uuid(ballots.fresh()) for _ in range(votes)],
        options=[arrays.int2(number % options + 1) for number in range(votes)],
        positions=[arrays.int8(base | (first + number)) for number in range(votes)],
        times=[arrays.timestamptz(now)] * votes,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), [int(word) for word in sys.argv[4:]])
