"""Step 5 of 7, store: reads the `.sql` files: each query by its name."""

from __future__ import annotations

import re
from importlib import resources

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def _load(file: str) -> dict[str, str]:
    parts = _NAME.split(resources.files(__package__).joinpath(file).read_text(encoding="utf-8"))
    found: dict[str, str] = {}
    for name, text in zip(parts[1::2], parts[2::2], strict=True):
        if name in found:
            raise ValueError(f"{file} has two queries named {name}")
        lines = [line.strip() for line in text.splitlines() if not line.startswith("--")]
        found[name] = " ".join(lines).strip()
    return found


_QUERIES = _load("queries.sql") | _load("count.sql") | _load("series.sql")


def query(name: str) -> str:
    """The text of a query, with `%(name)s` for its parameters."""
    return _QUERIES[name]


COUNT = query("count").replace("{lock}", "SHARE")
COUNT_BESIDE_A_CLOSER = query("count").replace("{lock}", "UPDATE")
