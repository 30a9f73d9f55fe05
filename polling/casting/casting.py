"""Steps 1 and 2 of 7, accept and log: casts a vote, and says what became of it.

The order of the rules is the contract's: whether the poll is open comes before all else, then who votes, then
the option, and only then what the door knows of the ballot.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from typing import NamedTuple

from polling.casting.memory import BallotMemory, Known
from polling.casting.pollbook import PollBook
from polling.casting.waiting import CountedWaits
from polling.core import ballots
from polling.core.errors import (
    AlreadyVoted,
    IdempotencyKeyReused,
    PollClosed,
    StoreUnavailable,
    TokenMissing,
    UnknownOption,
    ValidationError,
)
from polling.core.polls import MAX_IDEMPOTENCY_KEY, Poll
from polling.core.votes import CastVote, VoteState
from polling.store.door import Store
from polling.vote_log import Position, Sending, VoteWriter

Acknowledgement = asyncio.Future[Position]
"""Where the log has a vote; raises LogUnavailable where Kafka did not acknowledge it in time."""

LOOK_AGAIN = 0.1
"""Seconds between two looks at a vote whose place in the log this process does not know."""


class Cast(NamedTuple):
    """A vote that Kafka acknowledged. `option` is its number, from 1.

    `position` is None where the door knew already that this ballot was cast for this option, from another process.
    """

    vote_id: str
    poll: Poll
    option: int
    ballot: bytes
    position: Position | None


class Paper(NamedTuple):
    """A vote that was judged but not cast. `repeatable`: its ballot may have been cast before, and the first counts."""

    poll: Poll
    option: int
    ballot: bytes
    repeatable: bool

    @property
    def remembered_as(self) -> bytes:
        """What the door's memory knows this ballot by. Another one once the poll was opened again: what was cast while
        it was closed does not count, and must not keep the voter from casting it again.
        """
        return self.ballot + self.poll.reopened.to_bytes(4) if self.poll.reopened else self.ballot


class Casting:
    """How a vote is cast. One process has one."""

    def __init__(
        self, book: PollBook, memory: BallotMemory, writer: VoteWriter, store: Store, waits: CountedWaits
    ) -> None:
        self.book = book
        self._memory = memory
        self._writer = writer
        self._store = store
        self._waits = waits

    async def cast(self, request: CastVote, *, vouched: bool = False) -> Cast:
        """Casts a vote; returns after Kafka acknowledged it.

        `vouched` says that `request.voter` was named by somebody who holds the poll's admin token; polls with one
        vote per voter take no other vote.

        Raises:
            PollNotFound, PollClosed, TokenMissing, UnknownOption, ValidationError (no voter, or a bad key),
            AlreadyVoted, IdempotencyKeyReused: as the contract says.
            LogUnavailable: Kafka did not acknowledge within 5 s; whether the vote counts is unknown.
            StoreUnavailable: this process does not know the poll, and PostgreSQL is away.
        """
        poll = await self.book.get(request.poll_id)
        paper = self.judge(poll, request, datetime.now(UTC), vouched=vouched)
        if paper.repeatable:
            known = await self._memory.recall(paper.remembered_as)
            if known is not None:
                return self._repeated(paper, known)
        return await self.acknowledged(paper, self.produce(paper))

    def begin(self, request: CastVote) -> tuple[Paper, Acknowledgement] | None:
        """As `cast`, up to the acknowledgement, where nobody need be asked: the poll is known, and the vote no
        repetition. Else None, and nothing was cast. Raises as `cast` does.
        """
        poll = self.book.peek(request.poll_id)
        if poll is None or poll.deleted:
            return None
        paper = self.judge(poll, request, datetime.now(UTC))
        return None if paper.repeatable else (paper, self.produce(paper))

    def judge(self, poll: Poll, request: CastVote, now: datetime, *, vouched: bool = False) -> Paper:
        """The function `judge`, with ballots of this process. Raises LogUnavailable as well: no topic is known yet."""
        return judge(poll, request, now, self._writer.fresh_ballot, vouched=vouched)

    def produce(self, paper: Paper) -> asyncio.Future[Position]:
        """Hands a judged vote to Kafka. The second half of `cast`.

        Raises:
            LogUnavailable: the local queue is full; the future raises it where the acknowledgement does not come.
        """
        return self._writer.cast(paper.poll.id, paper.ballot, paper.option)

    def produce_many(self) -> Sending:
        """Begins to hand many judged votes to Kafka, some at a time by `produce_with`; to be awaited by `settled`."""
        return self._writer.cast_many()

    def produce_with(self, sending: Sending, poll: Poll, papers: Iterable[Paper]) -> None:
        """Hands some of many to Kafka, all of one poll. Raises nothing: whether it went well is known when all are
        settled."""
        self._writer.cast_with(sending, poll.id, ((paper.ballot, paper.option, paper.repeatable) for paper in papers))

    async def settled(self, sending: Sending, papers: Iterable[Paper]) -> AbstractSet[bytes]:
        """Waits for all acknowledgements, and remembers the votes. Answers the ballots that have none."""
        lost = await sending.settled()
        for paper in papers:
            if paper.repeatable and paper.ballot in sending.placed:
                self._memory.remember(paper.ballot, paper.option, sending.placed[paper.ballot])
        return lost

    async def acknowledged(self, paper: Paper, future: asyncio.Future[Position]) -> Cast:
        """Waits for the acknowledgement, and remembers it."""
        position = await future
        if paper.repeatable:
            self._memory.remember(paper.remembered_as, paper.option, position)
        return _cast(paper, position)

    async def recall(self, paper: Paper) -> Cast | None:
        """The same vote where the door knows that it was cast before.

        Raises:
            AlreadyVoted, IdempotencyKeyReused: the ballot was cast for another option, and the first counts.
        """
        known = await self._memory.recall(paper.remembered_as) if paper.repeatable else None
        return None if known is None else self._repeated(paper, known)

    async def decided(self, cast: Cast, timeout: float) -> VoteState | None:
        """What became of a vote, or None where the count has not decided within `timeout` seconds.

        Registers first and reads then, because the count may be quicker than the acknowledgement.
        """
        try:
            async with asyncio.timeout(timeout):
                with self._waits.registered(cast.position) as wait:
                    while True:
                        wait.woken.clear()
                        covered = wait.covered
                        state = await self._store.vote_state(cast.poll, cast.ballot)
                        if state.status != "accepted" and (covered or _speaks_of(state, cast.option)):
                            return state
                        if self._waits.over:
                            return None
                        await wait.woken.wait()
                        if cast.position is None:
                            await asyncio.sleep(LOOK_AGAIN)
        except (TimeoutError, StoreUnavailable):
            return None

    def _repeated(self, paper: Paper, known: Known) -> Cast:
        if known.option == paper.option:
            return _cast(paper, known.position)
        vote_id = ballots.vote_id(paper.poll.key, paper.ballot)
        raise AlreadyVoted(vote_id) if paper.poll.one_vote_per else IdempotencyKeyReused(vote_id)


def require_open(poll: Poll, now: datetime) -> None:
    """Raises PollClosed where the poll takes no more votes."""
    if not poll.is_open(now):
        raise PollClosed


def judge(poll: Poll, request: CastVote, now: datetime, fresh: Callable[[], bytes], *, vouched: bool = False) -> Paper:
    """The rules that need nothing but the poll, in the contract's order. Raises as `Casting.cast` does.

    `fresh` makes the ballot of a vote that is no repetition of another.
    """
    require_open(poll, now)
    if poll.one_vote_per == "voter" and not vouched:
        raise TokenMissing
    if poll.one_vote_per is not None and request.voter is None:
        raise ValidationError.at("#/voter", "This poll has one vote per voter: name the voter.")
    option = poll.option_number(request.option)
    if option is None:
        raise UnknownOption
    if poll.one_vote_per is not None and request.voter is not None:
        return Paper(poll, option, ballots.of_voter(poll.key, request.voter), not poll.allow_change)
    if request.idempotency_key is not None:
        return Paper(poll, option, ballots.of_key(poll.key, request.idempotency_key), True)
    return Paper(poll, option, fresh(), False)


def key_flaw(key: str) -> str | None:
    """What is wrong with an Idempotency-Key, as a sentence, or None."""
    if 1 <= len(key) <= MAX_IDEMPOTENCY_KEY and key.isprintable():
        return None
    return f"An idempotency key has 1 to {MAX_IDEMPOTENCY_KEY} printable characters."


def _cast(paper: Paper, position: Position | None) -> Cast:
    return Cast(ballots.vote_id(paper.poll.key, paper.ballot), paper.poll, paper.option, paper.ballot, position)


def _speaks_of(state: VoteState, option: int) -> bool:
    return state.option == option or any(rejected == option for rejected, _reason in state.rejected)
