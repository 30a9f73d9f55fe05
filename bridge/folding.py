"""Step 3 of 7, log to task: which offsets are safe to call done. Pure: it only compares ranges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from polling.core.votes import Covered

Place = tuple[int, int]
"""(generation, partition)."""


def fold(frontiers: Mapping[Place, int], covered: Iterable[Covered]) -> dict[Place, int]:
    """The frontiers that these ranges move, and where to: a range that starts at or before a frontier carries it to
    the range's end. Ranges may overlap, and come in any order. A gap stops it."""
    moved: dict[Place, int] = {}
    for one in sorted(covered, key=lambda one: one.first):
        place = (one.generation, one.partition)
        frontier = moved.get(place, frontiers.get(place))
        if frontier is not None and one.first <= frontier < one.next:
            moved[place] = one.next
    return moved


def set_back(
    handed: Mapping[Place, int], frontiers: Mapping[Place, int], covered: Iterable[Covered], flying: Iterable[Covered]
) -> list[Place]:
    """The partitions of which something was handed out that is neither counted nor under way any more: PostgreSQL holds
    less than it did. `handed` says up to which offset each was handed out since it is read here."""
    reached = {**frontiers, **fold(frontiers, [*covered, *flying])}
    return [place for place, before in handed.items() if reached.get(place, before) < before]


def is_covered(wanted: Covered, frontiers: Mapping[Place, int], covered: Iterable[Covered]) -> bool:
    """Whether a range lies wholly behind the frontier or within ranges that are counted."""
    place = (wanted.generation, wanted.partition)
    own = [one for one in covered if (one.generation, one.partition) == place]
    start = max(wanted.first, frontiers.get(place, wanted.first))
    reached = fold({place: start}, own).get(place, start)
    return reached >= wanted.next
