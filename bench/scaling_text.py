"""Scaling on paper: how its tables and numbers are written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> Iterator[str]:
    """The lines of a table. The first columns, so many as are `words`, are not numbers."""
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * words}{'--:|' * (len(head) - words)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def whole(number: float) -> str:
    """A number without a fraction, three figures of it where it is large."""
    return f"{number:,.0f}" if number < 10_000 else f"{float(f'{number:.3g}'):,.0f}"


def amount(number: float) -> str:
    """The same, with a fraction where it is small."""
    return f"{number:,.1f}" if number < 1000 else whole(number)


def duration(seconds: float) -> str:
    """In minutes, or in hours where they are many."""
    return f"{seconds / 60:,.0f} minutes" if seconds < 7200 else f"{seconds / 3600:,.0f} hours"


def polls_in_words(polls: int) -> str:
    """As the tables name them."""
    return "one poll" if polls == 1 else f"{polls:,} polls"
