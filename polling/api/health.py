"""Step 1 of 7, accept: whether this process lives, whether it can do its work, and its metrics."""

from __future__ import annotations

import asyncio

from polling.api.answers import Liveness, Readiness
from polling.api.base import Handler
from polling.api.routes import Operation, Route
from polling.api.services import Services
from polling.core.errors import StoreUnavailable
from polling.telemetry.serving import exposition

PATIENCE = 2.0
"""Seconds that each part has to answer."""


class LivezHandler(Handler):
    """`/livez`."""

    def get(self) -> None:
        self.answer(200, Liveness())


class ReadyzHandler(Handler):
    """`/readyz`."""

    async def get(self) -> None:
        services = self.services
        if services.readiness is None or services.readiness.done():
            services.readiness = asyncio.create_task(parts_away(services), name="ask whether all is there")
        away = list(await asyncio.shield(services.readiness))
        if services.draining:
            away.append("this process is stopping")
        self.answer(503 if away else 200, Readiness(not away, away))


class MetricsHandler(Handler):
    """`/metrics`."""

    def get(self) -> None:
        text, media_type = exposition()
        self.set_header("Content-Type", media_type)
        self.finish(text)


async def parts_away(services: Services) -> list[str]:
    """Which of kafka, postgres, redis do not answer, asked at once and each within `PATIENCE` seconds."""

    async def kafka() -> bool:
        return await services.writer.ping(PATIENCE)

    async def postgres() -> bool:
        try:
            await services.store.ping()
        except StoreUnavailable:
            return False
        return True

    async def redis() -> bool:
        return await services.live.ping()

    async def answers(part: asyncio.Task[bool]) -> bool:
        try:
            async with asyncio.timeout(PATIENCE + 0.5):
                return await part
        except TimeoutError:
            return False

    names = ("kafka", "postgres", "redis")
    asked = [asyncio.create_task(part()) for part in (kafka, postgres, redis)]
    found = await asyncio.gather(*(answers(part) for part in asked))
    return [name for name, answered in zip(names, found, strict=True) if not answered]


ROUTES = [
    Route("/livez", LivezHandler, (Operation("get", "Does the process live?", {200: ("It does", Liveness)}),)),
    Route(
        "/readyz",
        ReadyzHandler,
        (
            Operation(
                "get",
                "Can it do all its work?",
                {200: ("It can", Readiness), 503: ("These parts are away", Readiness)},
            ),
        ),
    ),
    Route(
        "/metrics",
        MetricsHandler,
        (Operation("get", "Metrics", {200: ("In Prometheus's text format", str)}, answer_media="text/plain"),),
    ),
]
