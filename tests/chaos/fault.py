"""Chaos: what a fault is."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Fault(NamedTuple):
    """`touches` are parts, servers or links; two faults at a time touch different ones. `hold` is in seconds. `whole`:
    every replica must be in sync before it, for else the fault itself would lose what nobody could keep."""

    name: str
    touches: frozenset[str]
    begin: Callable[[], object]
    end: Callable[[], object]
    hold: tuple[float, float] = (2, 6)
    whole: bool = False
