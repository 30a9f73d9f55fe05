"""Step 1 of 7, accept: the polls that this process knows, so that a vote never waits for PostgreSQL."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime

from polling import telemetry
from polling.core.errors import PollNotFound, StoreUnavailable
from polling.core.polls import Poll
from polling.live import Live
from polling.store.door import Store

log = telemetry.logger(__name__)

REFRESH = 0.5
"""Seconds between two questions of what changed: a definition is at most twice that old while PostgreSQL answers."""

CAPACITY = 100_000
"""Polls kept in memory; the one that was asked for longest ago leaves first."""


MOST_TEXT = 50_000_000
"""Characters that all of them may have together, some 200 MB at worst: a poll may have 20,500."""


class PollBook:
    """Poll definitions by id, tombstones of deleted polls among them.

    One query each half second refreshes all of them, off the path of a vote. Definitions are used longer than
    that only while PostgreSQL can't be asked; those that came from Redis meanwhile are asked for again after it.
    """

    def __init__(self, store: Store, live: Live, capacity: int = CAPACITY, most_text: int = MOST_TEXT) -> None:
        self._store = store
        self._live = live
        self._capacity = capacity
        self._most_text = most_text
        self._polls: OrderedDict[str, Poll] = OrderedDict()
        self._text = 0
        self._asked: dict[str, asyncio.Task[Poll | None]] = {}
        self._unconfirmed: set[str] = set()
        self._told: set[str] = set()
        self._callbacks: list[Callable[[Poll], None]] = []
        self._since: datetime | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> asyncio.Task[None]:
        """Begins to refresh. The task ends only by `stop`, or by a fault."""
        self._task = asyncio.create_task(self._refresh_for_ever(), name="refresh polls")
        return self._task

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def __len__(self) -> int:
        return len(self._polls)

    def on_change(self, callback: Callable[[Poll], None]) -> None:
        """Has `callback` called with each poll that turned out to be closed, deleted or otherwise changed."""
        self._callbacks.append(callback)

    def peek(self, poll_id: str) -> Poll | None:
        """The poll where memory has it, without waiting. A deleted one too: look at `deleted`."""
        poll = self._polls.get(poll_id)
        if poll is not None:
            self._polls.move_to_end(poll_id)
        return poll

    async def get(self, poll_id: str) -> Poll:
        """The poll of this id.

        Raises:
            PollNotFound: there is none, or it was deleted.
            StoreUnavailable: neither memory nor Redis knows it, and PostgreSQL is away.
        """
        poll = await self.find(poll_id)
        if poll.deleted:
            raise PollNotFound
        return poll

    async def find(self, poll_id: str) -> Poll:
        """As `get`, but a deleted poll is found as well: its votes may still be asked for."""
        poll = self.peek(poll_id)
        if poll is None:
            task = self._asked.get(poll_id)
            if task is None:
                task = self._asked[poll_id] = asyncio.create_task(self._ask(poll_id), name="ask for a poll")
                task.add_done_callback(lambda _: self._asked.pop(poll_id))
            poll = await asyncio.shield(task)
        if poll is None:
            raise PollNotFound
        return poll

    def put(self, poll: Poll) -> None:
        """Keeps what is newly known of a poll, and tells those who want to know where that is a change.

        What a refresh that is under way brings of this poll may be older: it is left to the next one.
        """
        self._told.add(poll.id)
        self._keep(poll)

    def _keep(self, poll: Poll) -> None:
        known = self._polls.get(poll.id)
        if known == poll:
            return
        self._forget(poll.id)
        self._polls[poll.id] = poll
        self._text += _text_of(poll)
        while len(self._polls) > self._capacity or (self._text > self._most_text and len(self._polls) > 1):
            self._forget(next(iter(self._polls)))
        for callback in self._callbacks:
            try:
                callback(poll)
            except Exception:
                log.exception("a listener to changed polls failed", poll=poll.id)

    def _forget(self, poll_id: str) -> None:
        poll = self._polls.pop(poll_id, None)
        self._unconfirmed.discard(poll_id)
        if poll is not None:
            self._text -= _text_of(poll)

    async def _ask(self, poll_id: str) -> Poll | None:
        try:
            poll = await self._store.poll(poll_id)
        except StoreUnavailable:
            poll = await self._live.poll(poll_id)
            if poll is None:
                raise
            self.put(poll)
            self._unconfirmed.add(poll_id)
            return poll
        if poll is not None:
            if (newer := self._polls.get(poll_id)) is not None:
                return newer  # somebody has put it meanwhile
            self._keep(poll)
            await self._live.remember_poll(poll)
        return poll

    async def _refresh_for_ever(self) -> None:
        away = False
        while True:
            self._told.clear()
            try:
                changed, self._since = await self._store.polls_changed(self._since)
            except StoreUnavailable:
                if not away:
                    log.warning("polls are not refreshed, PostgreSQL is away")
                away = True
            else:
                if away:
                    log.info("polls are refreshed again")
                away = False
                for poll_id in list(self._unconfirmed):
                    self._forget(poll_id)
                for poll in changed:
                    if poll.id in self._told:
                        continue
                    known = self._polls.get(poll.id)
                    self._keep(poll)
                    if known is not None and known != poll:
                        await self._live.remember_poll(poll)
            await asyncio.sleep(REFRESH)


def _text_of(poll: Poll) -> int:
    return len(poll.question) + sum(map(len, poll.options))
