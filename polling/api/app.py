"""Step 1 of 7, accept: wires the handlers to the parts they need, and runs one process that serves."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket

import tornado.routing
import tornado.web
from tornado.httputil import HTTPServerRequest

from polling import telemetry
from polling.api import (
    batch,
    docs,
    export,
    headers,
    health,
    leaderboard,
    pages,
    poll,
    poll_pages,
    polls,
    qr,
    series,
    voters,
    votes,
)
from polling.api.answers import encode
from polling.api.base import NoSuchAddress
from polling.api.door import Door
from polling.api.duties import Duties
from polling.api.front import Message
from polling.api.metering import count
from polling.api.openapi import document
from polling.api.process import PortTaken, run_processes
from polling.api.services import Services, make
from polling.settings import Settings
from polling.store.listening import Listener
from websocket.handler import LiveSocket
from websocket.hub import Hub
from websocket.porter import Porter

log = telemetry.logger(__name__)

DRAIN = 5.0
"""Seconds that requests under way have to end after SIGTERM; with what comes after it, 10."""

ROUTES = [
    *polls.ROUTES,
    *poll.ROUTES,
    *series.ROUTES,
    *export.ROUTES,
    *batch.ROUTES,
    *votes.ROUTES,
    *leaderboard.ROUTES,
    *health.ROUTES,
    *docs.ROUTES,
    *pages.ROUTES,
    *poll_pages.ROUTES,
    *qr.ROUTES,
]


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

    def limit_vote(address: str, voter: str | None) -> None:
        limits.take(limits.votes, address)
        if voter is not None:
            limits.take_of_voter(address, voter)

    return Porter(
        voter_of=voters.voter_of,
        new_voter=new_voter,
        limit_vote=limit_vote,
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
    server = Door(services, lambda connection: Message(application, connection))
    server.listen(listening)
    listener = Listener(settings.database_url, services.waits.counted, services.waits.look_again)
    await services.store.open()
    await services.live.open()
    await hub.open()
    listener.start()
    duties = Duties(services, application, server)
    duties.start(on_failure=stop.set)
    log.info("serving", port=listening.getsockname()[1])
    await stop.wait()
    await _drain(services, server, hub)
    await duties.stop()
    await listener.stop()
    await services.writer.close(1.0)
    await services.live.close()
    await services.store.close()
    log.info("stopped")
    duties.check()


async def _drain(services: Services, server: Door, hub: Hub) -> None:
    """No new connections, sockets closed with 1012, then the requests under way get their answers."""
    log.info("stopping", requests=len(services.under_way))
    services.draining = True
    server.stop()
    sockets = hub.close(1012)
    services.waits.end()
    loop = asyncio.get_running_loop()
    until = loop.time() + DRAIN
    while services.under_way and loop.time() < until:
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.05)
    try:
        async with asyncio.timeout(1.0):
            await sockets
    except TimeoutError:
        log.warning("sockets were not closed in time")
    server.close_connections()


class _WantsSocket(tornado.routing.PathMatches):
    """The root path, where the request asks for a WebSocket."""

    def match(self, request: HTTPServerRequest) -> dict[str, object] | None:
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return None
        return super().match(request)
