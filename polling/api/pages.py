"""Step 7 of 7, show: the pages and their files, kept by browsers and asked for again by their ETag."""

from __future__ import annotations

import contextlib
from functools import cache
from pathlib import Path
from typing import Any

import tornado.web

from polling.api import headers
from polling.api.base import Handler
from polling.api.packing import Packed, Packer, takes_gzip
from polling.api.routes import POLL_ID, Operation, Route
from polling.api.services import Services
from polling.api.voters import key_known, new_voter, set_voter_cookie, voter_of
from polling.core.errors import NotFound, PollNotFound, StoreUnavailable

WEB = Path(__file__).resolve().parent.parent / "web"
MISSING = "missing.html"
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
def _files() -> Packer:
    return Packer(WEB)


class StaticHandler(Handler, tornado.web.StaticFileHandler):
    """`/static/…`: files of polling/web, compressed for who takes that. The ETag is a hash of what is sent."""

    HEADERS = headers.PAGE_HEADERS
    _packed: Packed | None = None

    def initialize(self, services: Services) -> None:  # type: ignore[override]
        Handler.initialize(self, services)
        tornado.web.StaticFileHandler.initialize(self, str(WEB))

    def compute_etag(self) -> str | None:
        if self._packed is not None:
            return self._packed.etag
        return tornado.web.StaticFileHandler.compute_etag(self)

    def check_etag_header(self) -> bool:
        return tornado.web.RequestHandler.check_etag_header(self)

    async def get(self, path: str = "index.html", include_body: bool = True) -> None:
        if Path(path).suffix not in _TYPES:
            raise NotFound
        self.add_header("Vary", "Accept-Encoding")
        if takes_gzip(self.request.headers.get("Accept-Encoding", "")) and "Range" not in self.request.headers:
            self._packed = _files().find(path)
        if self._packed is not None:
            self._send(path, self._packed, include_body)
            return
        await tornado.web.StaticFileHandler.get(self, path, include_body)

    def _send(self, path: str, packed: Packed, include_body: bool) -> None:
        self.set_header("Content-Type", f"{_TYPES[Path(path).suffix]}; charset=utf-8")
        self.set_header("Content-Encoding", "gzip")
        self.set_extra_headers(path)
        self.set_header("Content-Length", str(len(packed.body)))
        self.finish(packed.body if include_body else None)

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
        if key_known(self) and voter_of(self) is None:
            set_voter_cookie(self, new_voter())
        await super().get(path or self.FILE, include_body)

    async def head(self, path: str = "") -> None:  # type: ignore[override]
        await self.get(path, include_body=False)


class BoardPage(PageHandler):
    """`/leaderboard`."""

    FILE = "leaderboard.html"


class PollPage(PageHandler):
    """`/p/{id}`. Where there is no such poll a page says so, with 404."""

    FILE = "poll.html"

    async def get(self, poll_id: str = "", include_body: bool = True) -> None:
        # While PostgreSQL is away the page comes all the same: it tries again by itself, and says so.
        with contextlib.suppress(StoreUnavailable):
            try:
                await self.services.book.get(poll_id)
            except PollNotFound:
                self._say_missing()
                return
        await super().get(self.FILE, include_body)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """An id that can be none, as it is no UTF-8, is answered as any other."""
        if status_code == 404 or isinstance(kwargs.get("exc_info", (None, None, None))[1], NotFound):
            self._say_missing()
        else:
            super().write_error(status_code, **kwargs)

    def _say_missing(self) -> None:
        self.set_status(404)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Cache-Control", "no-store")
        self.finish((WEB / MISSING).read_bytes())


class PresentPage(PollPage):
    """`/p/{id}/present`."""

    FILE = "present.html"


class SharePage(PollPage):
    """`/p/{id}/share`."""

    FILE = "share.html"


class AdminPage(PollPage):
    """`/p/{id}/admin`. The token is in the fragment, which no browser sends."""

    FILE = "admin.html"


class EmbedPage(PollPage):
    """`/p/{id}/embed`: the only page that others may show in a frame of theirs: those of `EMBED_ORIGINS`."""

    FILE = "embed.html"

    def set_default_headers(self) -> None:
        super().set_default_headers()
        services: Services = self.application.settings["services"]
        self.clear_header("X-Frame-Options")  # which knows no list of origins
        self.set_header("Content-Security-Policy", headers.framed_policy(services.settings.embed_origins))


class EmbedScript(StaticHandler):
    """`/embed.js`: the custom element. Pages of any origin may load it, as a module too."""

    async def get(self, path: str = "embed.js", include_body: bool = True) -> None:
        self.set_header("Access-Control-Allow-Origin", "*")
        self.clear_header("Access-Control-Allow-Credentials")
        await super().get(path, include_body)

    async def head(self, path: str = "embed.js") -> None:  # type: ignore[override]
        await self.get(path, include_body=False)


def _page(path: str, handler: type[PageHandler], summary: str) -> Route:
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
    _page("/", PageHandler, "The web page"),
    _page("/leaderboard", BoardPage, "The leaderboard's page"),
    _page("/p/{id}", PollPage, "A poll's page: vote and see the results"),
    _page("/p/{id}/present", PresentPage, "A poll on a wall"),
    _page("/p/{id}/share", SharePage, "A poll's link and QR code"),
    _page("/p/{id}/admin", AdminPage, "A poll's page for who made it"),
    _page("/p/{id}/embed", EmbedPage, "A poll for a frame in another site's page"),
    Route(
        "/embed.js",
        EmbedScript,
        (Operation("get", "The element `<live-poll>`", {200: ("A script", str)}, answer_media="text/javascript"),),
    ),
    Route("/static/{path+}", StaticHandler),
]
