"""Step 1 of 7, accept: wires the handlers to the parts they need, and runs one process that serves."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Awaitable, Callable

import tornado.routing
import tornado.web
from tornado.httputil import HTTPServerRequest

from polling import telemetry
from polling.api import batch, docs, headers, health, leaderboard, pages, polls, voters, votes
from polling.api.answers import encode
from polling.api.base import NoSuchAddress
from polling.api.door import Door
from polling.api.front import Message
from polling.api.metering import count
from polling.api.openapi import document
from polling.api.process import PortTaken, run_processes
from polling.api.services import Services, make
from polling.core.errors import StoreUnavailable
from polling.settings import Settings
from polling.store.listening import Listener
from polling.telemetry import metrics
from websocket.handler import LiveSocket
from websocket.hub import Hub
from websocket.porter import Porter

log = telemetry.logger(__name__)

RETRY = 1.0
"""Seconds between two tries for something that is not there yet."""

SAY = 5.0
"""Seconds between two lines that say for what this process waits."""

DRAIN = 8.0
"""Seconds that requests under way have to end after SIGTERM; with what comes after it, 10."""

ROUTES = [*batch.ROUTES, *votes.ROUTES, *polls.ROUTES, *leaderboard.ROUTES, *health.ROUTES, *docs.ROUTES, *pages.ROUTES]


def serve(settings: Settings, processes: int) -> None:
    """Serves until SIGTERM or SIGINT. Raises SystemExit where the port is taken, after one line that says so."""
    try:
        run_processes(settings, processes, lambda listening: _serve_one(settings, listening))
    except PortTaken as error:
        log.error("PORT: cannot listen there", address=settings.bind_address, port=settings.port, error=str(error))
        raise SystemExit(1) from None


def make_application(services: Services, hub: Hub) -> tornado.web.Application:
    """All routes of ROUTES, and the socket at the root."""
    services.openapi = encode(document(ROUTES))
    application = tornado.web.Application(
        [
            tornado.routing.Rule(
                _WantsSocket("/"),
                LiveSocket,
                {"hub": hub, "casting": services.casting, "porter": _porter(services)},
            ),
            *(route.spec(services=services) for route in ROUTES),
        ],
        default_handler_class=NoSuchAddress,
        default_handler_args={"services": services},
        services=services,
        log_function=count,
        cookie_secret=services.cookie_secret,
        compiled_template_cache=True,
        websocket_max_message_size=64 * 1024,
    )
    application.transforms.clear()
    return application


def _porter(services: Services) -> Porter:
    """Gives sockets the same voters, origins and limits as requests have."""

    def new_voter(handler: tornado.web.RequestHandler) -> str:
        voter = voters.new_voter()
        voters.set_voter_cookie(handler, voter)
        return voter

    limits = services.limits
    return Porter(
        voter_of=voters.voter_of,
        new_voter=new_voter,
        limit_vote=lambda address: limits.take(limits.votes, address),
        exempt=lambda address: limits.bucket_of(address) is None,
        allowed_origins=services.settings.allowed_origins,
        headers=headers.API_HEADERS,
    )


async def _serve_one(settings: Settings, listening: socket.socket) -> None:
    logging.getLogger("tornado.general").setLevel(logging.WARNING)  # it has a line for each malformed request
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    services = make(settings, loop)
    hub = Hub(services.live, services.store, services.book)
    application = make_application(services, hub)
    server = Door(services, lambda connection: Message(application, settings.trusted_proxies, connection))
    server.add_sockets([listening])
    listener = Listener(settings.database_url, services.waits.counted, services.waits.look_again)
    await services.store.open()
    await services.live.open()
    services.book.start()
    listener.start()
    await hub.open()
    tasks = [
        asyncio.create_task(_learn_generations(services), name="learn generations"),
        asyncio.create_task(_learn_cookie_secret(services, application), name="learn the cookies' key"),
        asyncio.create_task(_warm(services), name="warm the writer"),
        asyncio.create_task(_keep_house(services, server), name="keep house"),
    ]
    log.info("serving", port=listening.getsockname()[1])
    await stop.wait()
    await _drain(services, server, hub)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await listener.stop()
    await services.book.stop()
    await services.writer.close(1.0)
    await services.live.close()
    await services.store.close()
    log.info("stopped")


async def _drain(services: Services, server: Door, hub: Hub) -> None:
    """No new connections, sockets closed with 1012, then the requests under way get their answers."""
    log.info("stopping", requests=len(services.under_way))
    services.draining = True
    server.stop()
    sockets = hub.close(1012)
    loop = asyncio.get_running_loop()
    until = loop.time() + DRAIN
    while services.under_way and loop.time() < until:
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.05)
    async with asyncio.timeout(2.0):
        await sockets
        server.close_connections()


async def _learn_generations(services: Services) -> None:
    """Keeps the writer at the newest topic of the vote log."""
    known: tuple[str, int] | None = None

    async def ask() -> bool:
        nonlocal known
        generations = await services.store.generations()
        if generations and (generations[-1].topic, generations[-1].number) != known:
            known = (generations[-1].topic, generations[-1].number)
            services.writer.use(*known)
            log.info("writing votes", topic=known[0], generation=known[1])
        return bool(generations)

    while True:
        await _until(ask, "the vote log's topic in PostgreSQL")
        await asyncio.sleep(RETRY)


async def _learn_cookie_secret(services: Services, application: tornado.web.Application) -> None:
    """Reads the key that signs cookies from PostgreSQL, where no setting names one."""

    async def ask() -> bool:
        services.cookie_secret = services.cookie_secret or await services.store.secret_key()
        application.settings["cookie_secret"] = services.cookie_secret
        return True

    await _until(ask, "the cookies' key in PostgreSQL")


async def _warm(services: Services) -> None:
    async def ask() -> bool:
        return await services.writer.ping()

    await _until(ask, "Kafka")
    await services.writer.warm()


async def _keep_house(services: Services, server: Door) -> None:
    while True:
        await asyncio.sleep(RETRY)
        server.lane.flush()
        server.close_idle()
        metrics.known_polls.set(len(services.book))


async def _until(ask: Callable[[], Awaitable[bool]], what: str) -> None:
    """Asks until the answer is yes, and says every few seconds for what it waits."""
    loop = asyncio.get_running_loop()
    said = loop.time() - SAY + 1.5 * RETRY
    while True:
        try:
            if await ask():
                return
        except StoreUnavailable:
            log.debug("PostgreSQL is away", wanted=what)
        if loop.time() - said > SAY:
            log.warning("waiting", what=what)
            said = loop.time()
        await asyncio.sleep(RETRY)


class _WantsSocket(tornado.routing.PathMatches):
    """The root path, where the request asks for a WebSocket."""

    def match(self, request: HTTPServerRequest) -> dict[str, object] | None:
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return None
        return super().match(request)
