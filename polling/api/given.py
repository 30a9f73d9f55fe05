"""Step 7 of 7, show: pages that come with what they show first, so that a phone on a slow net waits for fewer answers.

Such a page has an empty `<script id="given" type="application/json">`: data, which no browser runs. Into it goes
`{"lang", "texts", "poll"?, "date"?}`: the texts of the language that the reader seems to want, and the poll as anybody
may see it. What is not there the page asks for.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from polling.api.packing import Packer

ENGLISH = "en"
_OPEN = b'<script id="given" type="application/json">'
_LEVEL = 6
"""Of compression: some 0.1 ms a page, and as small as with 9."""


class Filled(NamedTuple):
    """A page as it is sent. The ETag is a hash of that."""

    body: bytes
    etag: str


class Filler:
    """Fills the pages of a folder, whose texts are in `locales` below it. One process has one."""

    def __init__(self, files: Packer, folder: Path) -> None:
        self._files = files
        self._languages = frozenset(path.stem for path in (folder / "locales").glob("*.json"))
        self._halves: dict[tuple[str, str], tuple[tuple[str, str], bytes, bytes]] = {}

    def language(self, asked: str, accept_language: str) -> str:
        """The first of the reader's languages that the pages have, as the page's own script finds it too: `asked` for
        by the address, else the `Accept-Language` header (RFC 9110, 12.5.4), which browsers send in their user's order.
        """
        wishes = [asked, *(one.partition(";")[0] for one in accept_language.split(","))]
        known = (wish.strip().lower().partition("-")[0] for wish in wishes)
        return next((one for one in known if one in self._languages), ENGLISH)

    def fill(self, page: str, language: str, given: Mapping[str, bytes], *, packed: bool) -> Filled:
        """The page with its texts, and with `given`, which has JSON by its name; as gzip where it is `packed`."""
        before, after = self._split(page, language)
        body = before + b"".join(b',"%b":%b' % (name.encode(), _inert(value)) for name, value in given.items()) + after
        etag = hashlib.sha256(body).hexdigest()[:32]
        if packed:
            return Filled(gzip.compress(body, _LEVEL, mtime=0), f'"{etag}-gzip"')
        return Filled(body, f'"{etag}"')

    def _split(self, page: str, language: str) -> tuple[bytes, bytes]:
        """What stands before that which is given, and after it. Made anew where a file was changed meanwhile."""
        html, texts = self._files.find(page), self._files.find(f"locales/{language}.json")
        if html is None or texts is None:
            raise FileNotFoundError(page, language)
        made_of = (html.etag, texts.etag)
        known = self._halves.get((page, language))
        if known is None or known[0] != made_of:
            before, opened, after = gzip.decompress(html.body).partition(_OPEN)
            words = _inert(gzip.decompress(texts.body).strip())
            before += opened + b'{"lang":"%b","texts":%b' % (language.encode(), words)
            known = self._halves[page, language] = (made_of, before, b"}" + after)
        return known[1:]


def _inert(json: bytes) -> bytes:
    """The same JSON without a `<`, which stands in texts alone: so nothing in it ends the element that it stands in,
    or begins another (HTML, 13.2.5.4).
    """
    return json.replace(b"<", b"\\u003c")
