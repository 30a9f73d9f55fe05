"""Step 1 of 7, accept: whether a reader has the newest already."""

from __future__ import annotations

import re

_TAG = re.compile(r'"[^"]*"')


def matches(header: str | None, etag: str) -> bool:
    """Whether an If-None-Match names this ETag (RFC 9110, section 13.1.2: the weak comparison)."""
    if header is None:
        return False
    return header.strip() == "*" or etag in _TAG.findall(header)
