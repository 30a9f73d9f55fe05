"""Step 4 of 7, task: records one batch of votes. Safe to run twice, twice at once, and in any order."""

from __future__ import annotations

import time
from collections import OrderedDict

from polling.core.polls import Results
from polling.core.votes import Covered, Slice
from polling.store.counting import REFUSED as REFUSED_ERRORS
from polling.store.counting import Casts, Counted, CountingConnection, Shape
from polling.telemetry import logger, metrics
from tasks import staging
from tasks.dead_letters import DeadLetters
from tasks.staging import Readable, Staged

log = logger(__name__)

_KNOWN_SHAPES = 100_000


class Recorder:
    """What a worker process needs to record votes: a connection, a producer, and the shapes of polls it has seen."""

    def __init__(self, connection: CountingConnection, dead_letters: DeadLetters) -> None:
        self._connection = connection
        self._dead_letters = dead_letters
        self._shapes: OrderedDict[str, Shape] = OrderedDict()

    def record(self, slices: list[Slice], topics: dict[int, str]) -> list[Results]:
        """Counts the batch; answers the polls that it changed. Returns at once where it is counted already.

        Raises:
            psycopg.Error: PostgreSQL is away or did not commit; nothing was counted.
            DeadLettersUnavailable: Kafka did not take records that can never be counted; nothing was counted.
        """
        begun = time.monotonic()
        ranges = [Covered(part.generation, part.partition, part.first, part.next) for part in slices]
        votes, dead = staging.read(slices)
        while True:
            shapes = self._shapes_of({vote.poll for readable in votes for vote in readable.votes})
            staged, misdirected = staging.stage(votes, shapes)
            named = dict(sorted((shapes[poll].number, poll) for poll in staged.polls))
            state = self._connection.state(ranges, named)
            if state.covered:
                return []
            if state.known and len(named) == len(staged.polls):
                break
            log.warning("polls are not those they were, as after a restored backup: they are looked up again")
            self._shapes.clear()
        numbers = list(named)
        if dead or misdirected:
            self._dead_letters.send([*dead, *misdirected], topics)
        changed = self._count(staged, (0, len(staged.casts)), numbers, ranges, state.closing, topics)
        seconds = time.monotonic() - begun
        _tell_metrics(slices, votes, changed, seconds)
        log.info(
            "batch counted",
            votes=sum(len(readable.votes) for readable in votes),
            ballots=sum(part.ballots for part in changed),
            rejected=sum(part.rejected for part in changed),
            dead=len(dead) + len(misdirected),
            polls=len(numbers),
            ranges=[f"{r.generation}/{r.partition}@{r.first}-{r.next}" for r in ranges],
            ms=round(seconds * 1000, 1),
        )
        return [results for part in changed for results in part.as_results(named)]

    def _count(
        self,
        staged: Staged,
        some: tuple[int, int],
        polls: list[int],
        ranges: list[Covered],
        closing: bool,
        topics: dict[int, str],
    ) -> list[Counted]:
        """Counts some of the casts, from one to before another, and where PostgreSQL refuses the data, halves them
        until the culprit stands alone. The ranges go with the last part, so that they are covered only when all of it
        is counted."""
        begin, end = some
        try:
            return [self._connection.count(staged.casts.part(begin, end), polls, ranges, closing)]
        except REFUSED_ERRORS as error:
            if begin == end:
                raise
            log.warning("PostgreSQL refused a batch as data", votes=end - begin, sqlstate=error.sqlstate)
            if end - begin == 1:
                self._dead_letters.send([staged.refused(begin)], topics)
                return [self._connection.count(Casts(), [], ranges, closing)]
        middle = (begin + end) // 2
        first = self._count(staged, (begin, middle), polls, [], closing, topics)
        return first + self._count(staged, (middle, end), polls, ranges, closing, topics)

    def _shapes_of(self, poll_ids: set[str]) -> dict[str, Shape]:
        known = {poll_id: shape for poll_id in poll_ids if (shape := self._shapes.get(poll_id))}
        unknown = poll_ids - known.keys()
        if unknown:
            found = self._connection.shapes(unknown)
            self._shapes.update(found)
            known.update(found)
            while len(self._shapes) > _KNOWN_SHAPES:
                self._shapes.popitem(last=False)
        return known


def _tell_metrics(slices: list[Slice], votes: list[Readable], changed: list[Counted], seconds: float) -> None:
    metrics.batch_size.observe(sum(len(part.offsets) for part in slices))
    metrics.batch_seconds.observe(seconds)
    metrics.votes_counted.inc(sum(part.ballots for part in changed))
    metrics.votes_rejected.inc(sum(part.rejected for part in changed))
    accepted = [at for readable in votes for at in readable.accepted()]
    if accepted:
        now = time.time() * 1000
        for at in (min(accepted), max(accepted)):
            metrics.accept_to_counted.observe(max(0.0, (now - at) / 1000))
