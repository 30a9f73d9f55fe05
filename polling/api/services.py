"""Step 1 of 7, accept: everything that one door process has, made once by app.py and handed to the handlers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from polling.api.limits import Limits
from polling.api.readings import Leaderboards, ResultsCache
from polling.api.series_cache import SeriesCache
from polling.casting import BallotMemory, Casting, CountedWaits, PollBook
from polling.live import Live
from polling.settings import Settings
from polling.store.door import Store
from polling.vote_log import VoteWriter

if TYPE_CHECKING:
    from polling.api.base import Handler


@dataclass
class Services:
    """One process's parts. `cookie_secret` is None until the key that signs cookies is known. `under_way` has what must
    end before the process may; `readiness` is the last question of who is away, shared by all who ask meanwhile.
    """

    settings: Settings
    store: Store
    live: Live
    writer: VoteWriter
    book: PollBook
    casting: Casting
    waits: CountedWaits
    results: ResultsCache
    leaderboards: Leaderboards
    series: SeriesCache
    limits: Limits
    cookie_secret: str | None = None
    openapi: bytes = b""
    draining: bool = False
    readiness: asyncio.Task[list[str]] | None = None
    under_way: set[Handler | Any] = field(default_factory=set)


def make(settings: Settings, loop: asyncio.AbstractEventLoop) -> Services:
    """Wires the parts, opens none of them. To be called in the process that serves, after any fork."""
    store, live = Store(settings.database_url), Live(settings.redis_url)
    writer = VoteWriter(settings.kafka_broker, loop)
    book, waits = PollBook(store, live), CountedWaits()
    return Services(
        settings=settings,
        store=store,
        live=live,
        writer=writer,
        book=book,
        casting=Casting(book, BallotMemory(live), writer, store, waits),
        waits=waits,
        results=ResultsCache(store),
        leaderboards=Leaderboards(live, store),
        series=SeriesCache(store),
        limits=Limits(settings),
        cookie_secret=settings.secret_key,
    )
