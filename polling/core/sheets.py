"""Step 7 of 7, show: texts of people in a file that somebody will open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterable, Sequence

BOM = b"\xef\xbb\xbf"
"""At the beginning of a file: without it some spreadsheets take UTF-8 for the machine's old code page."""

_BEGINS_A_FORMULA = frozenset("=+-@＝＋－＠")
_UNSEEN = ("Cc", "Cf", "Zs", "Zl", "Zp")


def cell(text: str) -> str:
    """The text as every spreadsheet takes it for a text: an apostrophe before what would be a formula.

    Whoever writes an option must not run anything on the machine of whoever opens the export. What is not seen before
    the first sign is passed over, for some programs do so too.
    """
    first = next((sign for sign in text if unicodedata.category(sign) not in _UNSEEN), "")
    return f"'{text}" if first in _BEGINS_A_FORMULA or text[:1] in ("\t", "\r", "\n") else text


def lines(rows: Iterable[Sequence[object]]) -> bytes:
    """Rows as CSV (RFC 4180), in UTF-8. Texts are made safe; None is an empty cell."""
    sheet = io.StringIO()
    csv.writer(sheet, lineterminator="\r\n").writerows(
        [cell(value) if isinstance(value, str) else value for value in row] for row in rows
    )
    return sheet.getvalue().encode()
