"""Measuring: reads files of results, several as one: of a part that is in more than one of them the last counts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

Document = Mapping[str, Any]


class Results(NamedTuple):
    """`parts` by what `--only` calls them, each with `name`, `figures` and `raw`, and `run`: the document it is of."""

    parts: dict[str, dict[str, Any]]

    def runs(self) -> list[Document]:
        """The documents that something here is of, each once, oldest first."""
        found = {str(part["run"]["measured_at"]): part["run"] for part in self.parts.values()}
        return [found[at] for at in sorted(found)]


def merge(documents: Iterable[Document], order: Sequence[str]) -> Results:
    """The parts of all documents, in this order."""
    found = {part["part"]: {**part, "run": document} for document in documents for part in document["parts"]}
    return Results({name: found[name] for name in order if name in found})


def read(paths: Iterable[str], order: Sequence[str]) -> Results:
    """The same, of files."""
    return merge((json.loads(Path(path).read_text(encoding="utf-8")) for path in paths), order)
