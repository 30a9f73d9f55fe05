"""Step 7 of 7, show: the QR code that leads to a poll's page, as a picture that prints at any size."""

from __future__ import annotations

import io
from functools import lru_cache

import segno
from segno.encoder import DataOverflowError

from polling.api import headers
from polling.api.base import Handler
from polling.api.routes import POLL_ID, Operation, Parameter, Route
from polling.core.errors import PollNotFound, StoreUnavailable, ValidationError

QUIET_ZONE = 4
"""Modules of light around the code (ISO/IEC 18004, 9.1): less, and some cameras do not find it."""

KEPT = 1_000
"""Codes kept in memory, some 10 kB each: making one takes milliseconds of the loop."""


class QrHandler(Handler):
    """`/p/{id}/qr.svg`. The address in it is the one by which this server was asked."""

    HEADERS = headers.PAGE_HEADERS

    async def get(self, poll_id: str) -> None:
        poll = await self.services.book.get(poll_id)
        try:
            picture = picture_of(f"{self.request.protocol}://{self.request.host}/p/{poll.id}")
        except DataOverflowError:
            raise ValidationError.at("#/Host", "This host name is too long for a QR code.") from None
        self.set_header("Content-Type", "image/svg+xml")
        self.set_header("Cache-Control", "max-age=3600")
        self.set_header("Vary", "Host")
        if self.get_query_argument("download", "0") == "1":
            self.set_header("Content-Disposition", f'attachment; filename="poll-{poll.id}.svg"')
        self.finish(picture)


@lru_cache(KEPT)
def picture_of(address: str) -> bytes:
    """An SVG document: dark on light whatever the page's colours are, for many cameras read no other.

    Raises:
        DataOverflowError: the address has more than some 2,900 bytes.
    """
    picture = io.BytesIO()
    segno.make_qr(address, error="m").save(
        picture,
        kind="svg",
        border=QUIET_ZONE,
        dark="#000",
        light="#fff",
        omitsize=True,
        title="QR code",
        svgclass=None,
        lineclass=None,
    )
    return picture.getvalue()


ROUTES = [
    Route(
        "/p/{id}/qr.svg",
        QrHandler,
        (
            Operation(
                "get",
                "The QR code of a poll's page",
                {200: ("An SVG document", str)},
                parameters=(
                    POLL_ID,
                    Parameter("download", "query", "`1`: to be kept as a file.", {"type": "string", "enum": ["1"]}),
                ),
                errors=(PollNotFound, ValidationError, StoreUnavailable),
                answer_media="image/svg+xml",
            ),
        ),
    )
]
