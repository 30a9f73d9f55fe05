"""Step 7 of 7, show: the pages' files, compressed once and kept in memory, for phones on slow nets."""

from __future__ import annotations

import gzip
import hashlib
import re
from pathlib import Path
from typing import NamedTuple

PACKED = {".html", ".js", ".css", ".svg", ".json"}
"""What is text, and grows smaller; pictures and fonts are compressed already."""

_REFUSED = re.compile(r"q=0(\.0*)?$")


class Packed(NamedTuple):
    """A file as it is sent: `body` is gzip, `etag` belongs to it and not to the plain file (RFC 9110, 8.8.3)."""

    body: bytes
    etag: str
    modified: int
    size: int


class Packer:
    """The files of a folder and those below it. One that was changed meanwhile is compressed anew."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, Packed] = {}
        for path in sorted(folder.rglob("*")):
            if path.suffix in PACKED and path.is_file():
                self._pack(path.relative_to(folder).as_posix(), path)

    def find(self, name: str) -> Packed | None:
        """A file by its path in the folder; None for what was not there at the start, so no path leads out of it."""
        known = self._known.get(name)
        if known is None:
            return None
        path = self._folder / name
        try:
            found = path.stat()
        except FileNotFoundError:
            return None
        if (found.st_mtime_ns, found.st_size) != (known.modified, known.size):
            return self._pack(name, path)
        return known

    def _pack(self, name: str, path: Path) -> Packed:
        text = path.read_bytes()
        found = path.stat()
        etag = f'"{hashlib.sha256(text).hexdigest()[:32]}-gzip"'
        packed = Packed(gzip.compress(text, 9, mtime=0), etag, found.st_mtime_ns, found.st_size)
        self._known[name] = packed
        return packed


def takes_gzip(accept_encoding: str) -> bool:
    """Whether an `Accept-Encoding` header names gzip and does not refuse it (RFC 9110, 12.5.3)."""
    for one in accept_encoding.lower().split(","):
        coding, _, weight = one.strip().partition(";")
        if coding.strip() in ("gzip", "x-gzip"):
            return not _REFUSED.match(weight.strip())
    return False
