"""Step 7 of 7, show: the pages of a poll. Those for voters come with the poll in them."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import time
from collections.abc import Mapping
from functools import cache
from typing import Any

from tornado.httputil import format_timestamp

from polling.api import headers
from polling.api.answers import encode, poll_answer
from polling.api.given import Filler
from polling.api.pages import WEB, PageHandler, files, page_route
from polling.api.services import Services
from polling.core.errors import NotFound, PollNotFound, StoreUnavailable
from polling.core.polls import Poll
from polling.core.sight import NOBODY

PATIENCE = 0.25
"""Seconds for which a page waits for the results that it is to come with. Without them it asks for them itself."""


@cache
def _filler() -> Filler:
    return Filler(files(), WEB)


class PollPage(PageHandler):
    """A page of a poll. Where there is no such poll a page says so, with 404."""

    MISSING = "missing.html"

    async def get(self, poll_id: str = "", include_body: bool = True) -> None:
        given: Mapping[str, bytes] = {}
        # While PostgreSQL is away the page comes all the same: it tries again by itself, and says so.
        with contextlib.suppress(StoreUnavailable):
            try:
                given = await self.look_at(await self.services.book.get(poll_id))
            except PollNotFound:
                self._say_missing(include_body)
                return
        await self.show(given, include_body)

    async def look_at(self, poll: Poll) -> Mapping[str, bytes]:
        """What the page is given of the poll, as JSON. Raises PollNotFound, StoreUnavailable."""
        return {}

    async def show(self, given: Mapping[str, bytes], include_body: bool) -> None:
        """Sends the page."""
        await super().get(self.FILE, include_body)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """An id that can be none, as it is no UTF-8, is answered as any other."""
        if status_code == 404 or isinstance(kwargs.get("exc_info", (None, None, None))[1], NotFound):
            self._say_missing()
        else:
            super().write_error(status_code, **kwargs)

    def _say_missing(self, include_body: bool = True) -> None:
        page = files().find(self.MISSING)
        assert page is not None, "it is one of the pages' files"
        self.set_status(404)
        self.set_header("Cache-Control", "no-store")
        body = page.body if self.takes_gzip else gzip.decompress(page.body)
        self.send(self.MISSING, body, include_body, packed=self.takes_gzip)


class VotePage(PollPage):
    """`/p/{id}`. It comes with the poll as everybody may see it, and is not kept: it is true of that moment."""

    FILE = "poll.html"

    async def look_at(self, poll: Poll) -> Mapping[str, bytes]:
        try:
            async with asyncio.timeout(PATIENCE):
                results = await self.services.results.get(poll)
        except TimeoutError:
            return {}
        shown = NOBODY.sees(poll, results.closed)
        given = {"poll": encode(poll_answer(poll, results, shown=shown))}
        if poll.closes_at is not None:
            given["date"] = encode(format_timestamp(time.time()))  # what is left is told by this clock
        return given

    async def show(self, given: Mapping[str, bytes], include_body: bool) -> None:
        self.greet()
        asked = self.request.query_arguments.get("lang", [b""])[0].decode(errors="replace")
        language = _filler().language(asked, self.request.headers.get("Accept-Language", ""))
        filled = _filler().fill(self.FILE, language, given, packed=self.takes_gzip)
        self._etag = filled.etag
        self.set_header("Cache-Control", "no-store")
        self.send(self.FILE, filled.body, include_body, packed=self.takes_gzip)


class EmbedPage(VotePage):
    """`/p/{id}/embed`: the only page that others may show in a frame of theirs: those of `EMBED_ORIGINS`."""

    FILE = "embed.html"
    MISSING = "embed_missing.html"

    def set_default_headers(self) -> None:
        super().set_default_headers()
        services: Services = self.application.settings["services"]
        self.clear_header("X-Frame-Options")  # which knows no list of origins
        self.set_header("Content-Security-Policy", headers.framed_policy(services.settings.embed_origins))


class PresentPage(PollPage):
    """`/p/{id}/present`."""

    FILE = "present.html"


class SharePage(PollPage):
    """`/p/{id}/share`."""

    FILE = "share.html"


class AdminPage(PollPage):
    """`/p/{id}/admin`. The token is in the fragment, which no browser sends."""

    FILE = "admin.html"


ROUTES = [
    page_route("/p/{id}", VotePage, "A poll's page: vote and see the results"),
    page_route("/p/{id}/present", PresentPage, "A poll on a wall"),
    page_route("/p/{id}/share", SharePage, "A poll's link and QR code"),
    page_route("/p/{id}/admin", AdminPage, "A poll's page for who made it"),
    page_route("/p/{id}/embed", EmbedPage, "A poll for a frame in another site's page"),
]
