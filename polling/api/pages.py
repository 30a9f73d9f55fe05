"""Step 7 of 7, show: the pages and their files, kept by browsers and asked for again by their ETag."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import tornado.web

from polling.api import headers
from polling.api.base import Handler
from polling.api.packing import Packer, takes_gzip
from polling.api.routes import POLL_ID, Operation, Route
from polling.api.services import Services
from polling.api.voters import key_known, new_voter, set_voter_cookie, voter_of
from polling.core.errors import NotFound

WEB = Path(__file__).resolve().parent.parent / "web"
_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".woff2": "font/woff2",
    ".png": "image/png",
}
_BYTES = {".woff2", ".png"}


@cache
def files() -> Packer:
    """The pages' files, compressed. One process has one."""
    return Packer(WEB)


class StaticHandler(Handler, tornado.web.StaticFileHandler):
    """`/static/…`: files of polling/web, compressed for who takes that. The ETag is a hash of what is sent."""

    HEADERS = headers.PAGE_HEADERS
    _etag: str | None = None

    def initialize(self, services: Services) -> None:  # type: ignore[override]
        Handler.initialize(self, services)
        tornado.web.StaticFileHandler.initialize(self, str(WEB))

    def compute_etag(self) -> str | None:
        return self._etag or tornado.web.StaticFileHandler.compute_etag(self)

    def check_etag_header(self) -> bool:
        return tornado.web.RequestHandler.check_etag_header(self)

    @property
    def takes_gzip(self) -> bool:
        return takes_gzip(self.request.headers.get("Accept-Encoding", ""))

    async def get(self, path: str = "index.html", include_body: bool = True) -> None:
        if Path(path).suffix not in _TYPES:
            raise NotFound
        packed = files().find(path) if self.takes_gzip and "Range" not in self.request.headers else None
        if packed is None:
            self.add_header("Vary", "Accept-Encoding")
            await tornado.web.StaticFileHandler.get(self, path, include_body)
            return
        self._etag = packed.etag
        self.set_extra_headers(path)
        self.send(path, packed.body, include_body, packed=True)

    def send(self, path: str, body: bytes, include_body: bool = True, *, packed: bool) -> None:
        """Ends with this body, as the file of that name is sent; `packed` says that it is gzip."""
        self.add_header("Vary", "Accept-Encoding")
        self.set_header("Content-Type", f"{_TYPES[Path(path).suffix]}; charset=utf-8")
        if packed:
            self.set_header("Content-Encoding", "gzip")
        self.set_header("Content-Length", str(len(body)))
        self.finish(body if include_body else None)

    async def head(self, path: str = "index.html") -> None:  # type: ignore[override]
        await self.get(path, include_body=False)

    def get_content_type(self) -> str:
        suffix = Path(self.absolute_path or "").suffix
        return _TYPES[suffix] + ("" if suffix in _BYTES else "; charset=utf-8")

    def set_extra_headers(self, path: str) -> None:
        self.set_header("Cache-Control", headers.PAGE_HEADERS["Cache-Control"])


class PageHandler(StaticHandler):
    """A page, by its file. The browser gets its voter with its first page."""

    FILE = "index.html"

    async def get(self, path: str = "", include_body: bool = True) -> None:
        self.greet()
        await super().get(path or self.FILE, include_body)

    def greet(self) -> None:
        """Gives the browser its voter, where it has none."""
        if key_known(self) and voter_of(self) is None:
            set_voter_cookie(self, new_voter())

    async def head(self, path: str = "") -> None:  # type: ignore[override]
        await self.get(path, include_body=False)


class BoardPage(PageHandler):
    """`/leaderboard`."""

    FILE = "leaderboard.html"


class EmbedScript(StaticHandler):
    """`/embed.js`: the custom element. Pages of any origin may load it, as a module too."""

    async def get(self, path: str = "embed.js", include_body: bool = True) -> None:
        self.set_header("Access-Control-Allow-Origin", "*")
        self.clear_header("Access-Control-Allow-Credentials")
        await super().get(path, include_body)

    async def head(self, path: str = "embed.js") -> None:  # type: ignore[override]
        await self.get(path, include_body=False)


def page_route(path: str, handler: type[PageHandler], summary: str) -> Route:
    """The route of a page, which is one of a poll where the path has `{id}`."""
    of_poll = "{id}" in path
    operation = Operation(
        "get",
        summary,
        {200: ("A page", str), **({404: ("A page that says that there is no such poll", str)} if of_poll else {})},
        answer_media="text/html",
        parameters=(POLL_ID,) if of_poll else (),
    )
    return Route(path, handler, (operation,))


ROUTES = [
    page_route("/", PageHandler, "The web page"),
    page_route("/leaderboard", BoardPage, "The leaderboard's page"),
    Route(
        "/embed.js",
        EmbedScript,
        (Operation("get", "The element `<live-poll>`", {200: ("A script", str)}, answer_media="text/javascript"),),
    ),
    Route("/static/{path+}", StaticHandler),
]
