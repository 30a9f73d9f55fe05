"""What many ask at once is asked of PostgreSQL once, and what changes elsewhere is known here soon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec
import pytest
import pytest_asyncio
from support.system import System
from support.waiting import until_async

from polling.api.readings import FRESH, ResultsCache
from polling.api.series_cache import SeriesCache
from polling.casting import PollBook
from polling.core.errors import PollNotFound, StoreUnavailable
from polling.core.polls import CreatePoll, Poll, Results
from polling.core.series import Point
from polling.live import Live
from polling.store.door import Store

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds that Redis may take to answer: it is there, and a stall must not make it look as if it were not."""


class CountedStore(Store):
    """The real one; remembers what was asked."""

    def __init__(self, database_url: str) -> None:
        super().__init__(database_url)
        self.asked_polls: list[str] = []
        self.asked_results: list[list[str]] = []
        self.asked_series: list[str] = []

    async def poll(self, poll_id: str) -> Poll | None:
        self.asked_polls.append(poll_id)
        return await super().poll(poll_id)

    async def series(self, poll: Poll, step: int) -> list[Point]:
        self.asked_series.append(poll.id)
        return await super().series(poll, step)

    async def results(self, polls: Sequence[Poll]) -> list[Results]:
        self.asked_results.append([poll.id for poll in polls])
        return await super().results(polls)


@pytest_asyncio.fixture
async def store(system: System) -> AsyncIterator[CountedStore]:
    store = CountedStore(system.settings.database_url)
    await store.open()
    await until_async(lambda: answers(store), "PostgreSQL answers")
    yield store
    await store.close()


@pytest_asyncio.fixture
async def live(system: System) -> AsyncIterator[Live]:
    live = Live(system.settings.redis_url, timeout=PATIENCE)
    await live.open()
    yield live
    await live.close()


async def answers(store: Store) -> bool:
    try:
        await store.ping()
    except StoreUnavailable:
        return False
    return True


async def made(store: Store) -> Poll:
    poll, _token = await store.create_poll(CreatePoll("Which?", ["a", "b"]))
    return poll


async def test_a_crowd_that_opens_a_chart_costs_one_query(store: CountedStore) -> None:
    one, other = await made(store), await made(store)
    cache = SeriesCache(store)
    await asyncio.gather(*(cache.get(poll, 5) for poll in (one, other) * 50))
    assert sorted(store.asked_series) == sorted([one.id, other.id])
    await cache.get(one, 10)
    assert len(store.asked_series) == 3, "another step is another question"


async def test_a_chart_that_could_not_be_read_is_asked_for_again(store: CountedStore) -> None:
    poll = await made(store)
    nobody = Store("postgresql://nobody@127.0.0.1:9/none")  # never opened: nothing answers
    cache = SeriesCache(nobody)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await cache.get(poll, 5)
    cache._store = store
    await cache.get(poll, 5)
    assert store.asked_series == [poll.id]


async def test_a_crowd_of_readers_costs_one_query(store: CountedStore) -> None:
    one, other = await made(store), await made(store)
    now = [100.0]
    cache = ResultsCache(store, clock=lambda: now[0])
    found = await asyncio.gather(*(cache.get(poll) for poll in (one, other) * 50))
    assert {results.poll_id for results in found} == {one.id, other.id}
    assert len(store.asked_results) == 1
    now[0] += FRESH / 2
    await cache.get(one)
    assert len(store.asked_results) == 1
    cache.forget(one.id)
    await asyncio.gather(cache.get(one), cache.get(other))
    assert store.asked_results[1:] == [[one.id]]
    now[0] += 2 * FRESH
    await cache.get(one)
    assert store.asked_results[2:] == [[one.id]], "what is older is asked for again"


async def test_every_reader_hears_that_the_database_is_away(store: CountedStore) -> None:
    poll = await made(store)
    await store.close()
    cache = ResultsCache(store)
    found = await asyncio.gather(*(cache.get(poll) for _ in range(5)), return_exceptions=True)
    assert {type(answer) for answer in found} == {StoreUnavailable}


async def test_a_poll_is_asked_for_once(store: CountedStore, live: Live) -> None:
    poll = await made(store)
    book = PollBook(store, live)
    assert book.peek(poll.id) is None
    found = await asyncio.gather(*(book.get(poll.id) for _ in range(20)))
    assert {one.id for one in found} == {poll.id}
    assert await book.get(poll.id) == book.peek(poll.id)
    assert store.asked_polls == [poll.id]
    with pytest.raises(PollNotFound):
        await book.get("0" * 20)


async def test_what_another_process_changes_is_known_here(store: CountedStore, live: Live) -> None:
    poll = await made(store)
    book = PollBook(store, live)
    changed: list[Any] = []
    book.on_change(lambda poll: changed.append((poll.id, poll.closed, poll.deleted)))
    book.start()
    try:
        await book.get(poll.id)
        await store.close_poll(poll)

        async def known_as_closed() -> bool:
            known = book.peek(poll.id)
            return known is not None and known.closed

        await until_async(known_as_closed, "the book knows that the poll is closed")
        await store.delete_poll(poll)

        async def known_as_deleted() -> bool:
            known = book.peek(poll.id)
            return known is not None and known.deleted

        await until_async(known_as_deleted, "the book knows that the poll is deleted")
        assert (await book.find(poll.id)).deleted
        with pytest.raises(PollNotFound):
            await book.get(poll.id)
        assert (poll.id, True, False) in changed
        assert (poll.id, True, True) in changed
    finally:
        await book.stop()


class HeldStore(CountedStore):
    """Reads what changed, or one poll, and hands it over only when it is let."""

    def __init__(self, database_url: str) -> None:
        super().__init__(database_url)
        self.read, self.let = asyncio.Event(), asyncio.Event()

    async def polls_changed(self, since: datetime | None) -> tuple[list[Poll], datetime]:
        return await self._held(await super().polls_changed(since or datetime.now(UTC) - timedelta(minutes=1)))

    async def poll(self, poll_id: str) -> Poll | None:
        return await self._held(await super().poll(poll_id))

    async def _held(self, found: T) -> T:
        self.read.set()
        await self.let.wait()
        return found


@pytest.mark.parametrize("way", ["by a refresh", "by a question"])
async def test_what_was_read_before_a_change_does_not_undo_it(
    store: CountedStore, live: Live, system: System, way: str
) -> None:
    """Whoever deleted a poll is told 404 from then on, also where an older answer of PostgreSQL's comes only now."""
    poll = await made(store)
    held = HeldStore(system.settings.database_url)
    await held.open()
    book = PollBook(held, live)
    try:
        if way == "by a refresh":
            book.put(poll)
            book.start()
        else:
            asking = asyncio.create_task(book.find(poll.id))
        await held.read.wait()
        await store.delete_poll(poll)
        deleted = await store.poll(poll.id)
        assert deleted is not None
        book.put(deleted)
        held.let.set()
        if way == "by a refresh":
            held.read.clear()
            await held.read.wait()
        else:
            assert await asking == deleted
        assert book.peek(poll.id) == deleted
    finally:
        held.let.set()
        await book.stop()
        await held.close()


async def test_redis_knows_polls_while_the_database_is_away(store: CountedStore, live: Live, system: System) -> None:
    poll = await made(store)

    async def remembered() -> bool:
        await PollBook(store, live).get(poll.id)
        return await live.poll(poll.id) is not None

    await until_async(remembered, "Redis knows the poll")
    await store.close_poll(poll)
    away = Store(system.settings.database_url)
    book = PollBook(away, live)
    known = await book.get(poll.id)
    assert (known.id, known.closed) == (poll.id, False)
    with pytest.raises(StoreUnavailable):
        await book.get("0" * 20)
    await away.open()
    try:
        book.start()

        async def corrected() -> bool:
            return book.peek(poll.id) is None or (await book.get(poll.id)).closed

        await until_async(corrected, "what Redis knew is asked again of the database")
        assert (await book.get(poll.id)).closed
    finally:
        await book.stop()
        await away.close()


async def test_the_book_is_bounded(store: CountedStore, live: Live) -> None:
    book = PollBook(store, live, capacity=2)
    polls = [await made(store) for _ in range(3)]
    for poll in polls:
        book.put(poll)
    assert len(book) == 2
    assert book.peek(polls[0].id) is None
    assert (await book.get(polls[0].id)).id == polls[0].id


async def test_the_book_is_bounded_by_what_its_polls_say(store: CountedStore, live: Live) -> None:
    polls = [await made(store) for _ in range(3)]
    said = len(polls[0].question) + sum(map(len, polls[0].options))
    book = PollBook(store, live, most_text=2 * said)
    for poll in [*polls, polls[2]]:
        book.put(poll)
    assert [book.peek(poll.id) is not None for poll in polls] == [False, True, True]
    book.put(msgspec.structs.replace(polls[2], question="q" * 3 * said))
    assert len(book) == 1, "one that is too long for all is there alone"
    book.put(polls[1])
    assert [book.peek(poll.id) is not None for poll in polls] == [False, True, False]
