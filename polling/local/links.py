"""The embedded stack: at which port each server is told to find the others, where that is not the real one.

A test that wants to cut, slow or part connections puts a proxy of its own in front of a port. Names of ports:

    one broker     kafka, zookeeper, postgres, redis
    a cluster      kafka-1      what clients come to         zookeeper-1            what brokers come to
                   kafka-1-peer what other brokers come to   zookeeper-1-quorum     what followers come to
                                                             zookeeper-1-election   what other nodes come to
                   and so on with 2 and 3; postgres, redis
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping


@dataclasses.dataclass(frozen=True)
class Links:
    """The ports that are told in place of the real ones, by the real one's name; who is not named is told the real.

    `ports` is for everybody, and for the addresses that are handed out. `seen_by` goes before it, for one server by
    its name: `{"kafka-2": {"zookeeper-1": 7001}}`, `{"zookeeper-3": {"zookeeper-1-quorum": 7002}}`. A broker tells
    all of the others the same port of its own, so that `kafka-1-peer` can only stand in `ports`.
    """

    ports: Mapping[str, int] = dataclasses.field(default_factory=dict)
    seen_by: Mapping[str, Mapping[str, int]] = dataclasses.field(default_factory=dict)


LinkMaker = Callable[[Mapping[str, int]], Links]
"""Is told every real port by its name before anything starts, and answers what the others shall be told."""


def straight(_real: Mapping[str, int]) -> Links:
    """Everybody is told the real ports."""
    return Links()


class Ways:
    """The real ports, and where to find each."""

    def __init__(self, real: Mapping[str, int], links: Links) -> None:
        self.real = real
        self._links = links
        unknown = (links.ports.keys() | {name for seen in links.seen_by.values() for name in seen}) - real.keys()
        if unknown:
            raise ValueError(f"links to ports that there are not: {', '.join(sorted(unknown))}")

    def to(self, name: str, seen_by: str | None = None) -> int:
        """The port at which that server (None: anybody) is told to find the one of this name."""
        seen = self._links.seen_by.get(seen_by, {}) if seen_by is not None else {}
        return seen.get(name, self._links.ports.get(name, self.real[name]))
