"""Step 1 of 7, accept: reads the head of a plain request. What deviates is Tornado's to judge."""

from __future__ import annotations

import re

MAX_HEAD = 8 * 1024

# RFC 9112: a field name is a token, and no line begins with a blank.
FIELDS = rb"(?:\r\n[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t -~\x80-\xff]*)+"

_HOST = re.compile(r"[A-Za-z0-9.\-_\[\]:]+")


def plain_fields(head: bytes, refused: frozenset[str]) -> dict[str, str] | None:
    """The header fields of a head of this shape, by their names in lower case, without blanks around the values.

    None where one comes twice, or is among `refused`; where there is no host as it should be; and where the connection
    is not to be kept.
    """
    fields: dict[str, str] = {}
    for line in head.decode("latin-1").split("\r\n")[1:]:
        name, _, value = line.partition(":")
        name = name.lower()
        if name in fields or name in refused:
            return None
        fields[name] = value.strip(" \t")
    if not _HOST.fullmatch(fields.get("host", "")) or fields.get("connection", "keep-alive").lower() != "keep-alive":
        return None
    return fields
