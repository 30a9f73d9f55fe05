"""Chaos: faults of a cluster's brokers."""

from __future__ import annotations

import time

from chaos import disks
from chaos.arena import Arena
from chaos.fault import Fault


def erased(arena: Arena, broker: str) -> Fault:
    """One broker's disk is replaced by an empty one; the others have all that it had."""

    def begin() -> None:
        arena.kill(broker)
        disks.erase(arena.server(broker).data / "logs")

    brokers = frozenset(kafka.name for kafka in arena.servers.kafkas)
    return Fault(f"disk erased: {broker}", brokers, begin, lambda: arena.bring_back(broker), (1, 4), True)


def too_few(arena: Arena) -> Fault:
    """Two of three brokers are away: nothing may be written."""
    brokers = [kafka.name for kafka in arena.servers.kafkas]
    away = brokers[:2]
    return Fault(
        "read-only by min.insync.replicas",
        frozenset(brokers),
        lambda: arena.kill(*away),
        lambda: arena.bring_back(*away),
        (5, 9),
        True,
    )


def leader_killed(arena: Arena) -> Fault:
    """The broker that leads partition 0 of the votes."""
    fallen: list[str] = []

    def begin() -> None:
        fallen[:] = [arena.leader()]
        arena.kill(*fallen)

    brokers = frozenset(kafka.name for kafka in arena.servers.kafkas)
    return Fault("kill the leading broker", brokers, begin, lambda: arena.bring_back(*fallen), (2, 6))


def leader_alone(arena: Arena) -> Fault:
    """The leader's followers stand still for less than their ZooKeeper session, and then the leader dies: what it
    alone had is gone. So nobody may have been told that it was there."""
    fallen: list[str] = []

    def begin() -> None:
        leader = arena.leader()
        others = [kafka.name for kafka in arena.servers.kafkas if kafka.name != leader]
        fallen[:] = [leader]
        arena.freeze(*others)
        time.sleep(4)
        arena.kill(leader)
        arena.thaw(*others)

    brokers = frozenset(kafka.name for kafka in arena.servers.kafkas)
    back = lambda: arena.bring_back(*fallen)  # noqa: E731
    return Fault("the leader dies while its followers stand still", brokers, begin, back, (8, 10), True)
