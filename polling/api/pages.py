"""Step 7 of 7, show: the page and its files, kept by browsers and asked for again by their ETag."""

from __future__ import annotations

from pathlib import Path

import tornado.web

from polling.api import headers
from polling.api.base import Handler
from polling.api.routes import Operation, Route
from polling.api.services import Services
from polling.api.voters import key_known, new_voter, set_voter_cookie, voter_of
from polling.core.errors import NotFound

WEB = Path(__file__).resolve().parent.parent / "web"
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


class StaticHandler(Handler, tornado.web.StaticFileHandler):
    """`/static/…`: files of polling/web. The ETag is a hash of what is in the file."""

    HEADERS = headers.PAGE_HEADERS

    def initialize(self, services: Services) -> None:  # type: ignore[override]
        Handler.initialize(self, services)
        tornado.web.StaticFileHandler.initialize(self, str(WEB))

    def compute_etag(self) -> str | None:
        return tornado.web.StaticFileHandler.compute_etag(self)

    def check_etag_header(self) -> bool:
        return tornado.web.RequestHandler.check_etag_header(self)

    async def get(self, path: str = "index.html", include_body: bool = True) -> None:
        if Path(path).suffix not in _TYPES:
            raise NotFound
        await tornado.web.StaticFileHandler.get(self, path, include_body)

    async def head(self, path: str = "index.html") -> None:  # type: ignore[override]
        await self.get(path, include_body=False)

    def get_content_type(self) -> str:
        return _TYPES[Path(self.absolute_path or "").suffix] + "; charset=utf-8"

    def set_extra_headers(self, path: str) -> None:
        self.set_header("Cache-Control", headers.PAGE_HEADERS["Cache-Control"])


class PageHandler(StaticHandler):
    """`/` without Upgrade. The browser gets its voter with its first page."""

    async def get(self, path: str = "index.html", include_body: bool = True) -> None:
        if key_known(self) and voter_of(self) is None:
            set_voter_cookie(self, new_voter())
        await super().get(path, include_body)


ROUTES = [
    Route("/", PageHandler, (Operation("get", "The web page", {200: ("A page", str)}, answer_media="text/html"),)),
    Route("/static/{path}", StaticHandler),
]
