"""Step 1 of 7, accept: the OpenAPI document, and a page to read it and try it on."""

from __future__ import annotations

from polling.api.base import Handler
from polling.api.pages import StaticHandler
from polling.api.routes import Operation, Route


class OpenApiHandler(Handler):
    """`/openapi.json`."""

    def get(self) -> None:
        self.set_header("Cache-Control", "no-cache")
        self.finish(self.services.openapi)


class DocsHandler(StaticHandler):
    """`/docs`."""

    async def get(self, path: str = "docs.html", include_body: bool = True) -> None:
        await super().get(path, include_body)

    async def head(self, path: str = "docs.html") -> None:  # type: ignore[override]
        await self.get(path, include_body=False)


ROUTES = [
    Route(
        "/openapi.json",
        OpenApiHandler,
        (Operation("get", "This document", {200: ("OpenAPI 3.1", dict)}),),
    ),
    Route(
        "/docs", DocsHandler, (Operation("get", "A page to try it", {200: ("A page", str)}, answer_media="text/html"),)
    ),
]
