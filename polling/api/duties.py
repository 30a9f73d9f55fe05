"""Step 1 of 7, accept: what a door process does besides answering: it learns what it needs, and keeps house."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import tornado.web

from polling import telemetry
from polling.api.door import Door
from polling.api.services import Services
from polling.api.watchdog import Watchdog
from polling.core.errors import StoreUnavailable
from polling.telemetry import metrics

log = telemetry.logger(__name__)

RETRY = 1.0
"""Seconds between two tries for something that is not there yet."""

SAY = 5.0
"""Seconds between two lines that say for what this process waits."""


class Duties:
    """Tasks beside the requests. None of them ends by an error unless there is a fault in the program."""

    def __init__(self, services: Services, application: tornado.web.Application, door: Door) -> None:
        self._services = services
        self._application = application
        self._door = door
        self._tasks: list[asyncio.Task[None]] = []
        self._failure: BaseException | None = None
        self._watchdog = Watchdog()

    def start(self, on_failure: Callable[[], None]) -> None:
        """Begins all of them. `on_failure` is called where one failed, for the process is of no use then."""
        works = (self._learn_generations(), self._learn_cookie_secret(), self._warm_writer(), self._keep_house())
        self._tasks = [self._services.book.start(), *(asyncio.create_task(work) for work in works)]

        def ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("a duty failed, this process stops", exc_info=error)
                self._failure = error
                on_failure()

        for task in self._tasks:
            task.add_done_callback(ended)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._watchdog.rest()

    def check(self) -> None:
        """Raises what made a duty fail."""
        if self._failure is not None:
            raise self._failure

    async def _learn_generations(self) -> None:
        """Keeps the writer at the newest topic of the vote log; as Redis remembers it, while PostgreSQL is away."""
        live, known = self._services.live, None

        async def newest() -> tuple[str, int, int] | None:
            try:
                generations = await self._services.store.generations()
            except StoreUnavailable:
                return known or await live.log()
            if not generations:
                return None
            place = (generations[-1].topic, generations[-1].number, generations[-1].partitions)
            await live.remember_log(*place)
            return place

        async def ask() -> bool:
            nonlocal known
            found = await newest()
            if found is not None and found != known:
                known = found
                self._services.writer.use(*found)
                log.info("writing votes", topic=found[0], generation=found[1])
            return found is not None

        while True:
            await _until(ask, "the vote log's topic in PostgreSQL")
            await asyncio.sleep(RETRY)

    async def _learn_cookie_secret(self) -> None:
        """Reads the key that signs cookies from PostgreSQL, where no setting names one."""
        services = self._services

        async def ask() -> bool:
            services.cookie_secret = services.cookie_secret or await services.store.secret_key()
            self._application.settings["cookie_secret"] = services.cookie_secret
            return True

        await _until(ask, "the cookies' key in PostgreSQL")

    async def _warm_writer(self) -> None:
        await _until(self._services.writer.ping, "Kafka")
        await self._services.writer.warm()

    async def _keep_house(self) -> None:
        while True:
            self._watchdog.hear()
            await asyncio.sleep(RETRY)
            self._door.lane.flush()
            self._door.reading_lane.flush()
            self._door.close_idle()
            metrics.known_polls.set(len(self._services.book))


async def _until(ask: Callable[[], Awaitable[bool]], what: str) -> None:
    """Asks until the answer is yes, and says every few seconds for what it waits."""
    loop = asyncio.get_running_loop()
    say_at = loop.time() + RETRY / 2
    while True:
        try:
            if await ask():
                return
        except StoreUnavailable:
            log.debug("PostgreSQL is away", wanted=what)
        if loop.time() >= say_at:
            log.warning("waiting", what=what)
            say_at = loop.time() + SAY
        await asyncio.sleep(RETRY)
