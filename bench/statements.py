"""Measuring: reads `statements.sql`: each statement by its name."""

from __future__ import annotations

import re
from pathlib import Path

_PARTS = re.split(
    r"^-- name: (\w+)\n", Path(__file__).with_name("statements.sql").read_text("utf-8"), flags=re.MULTILINE
)
_STATEMENTS = dict(zip(_PARTS[1::2], _PARTS[2::2], strict=True))


def statement(name: str) -> str:
    """Its text, with `%(name)s` for its parameters."""
    return _STATEMENTS[name]
