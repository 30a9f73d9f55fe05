"""The embedded stack: Kafka with its ZooKeeper: one of each, or a cluster of three with an ensemble of three."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from polling.local.addresses import CLUSTER, HOST
from polling.local.errors import NotOurs
from polling.local.guard import Guard
from polling.local.kafka import Kafka, Seat
from polling.local.links import Ways
from polling.local.zookeeper import Node, ZooKeeper


def port_names(brokers: int) -> list[str]:
    """The names of all ports that so many brokers and their ZooKeeper need, those that clients come to first.

    Raises:
        ValueError: neither one broker nor a cluster.
    """
    if brokers == 1:
        return ["kafka", "zookeeper"]
    if brokers != CLUSTER:
        raise ValueError(f"{brokers} brokers: there can be 1, or {CLUSTER} for a cluster")
    numbers = range(1, CLUSTER + 1)
    clients = [f"{server}-{number}" for server in ("kafka", "zookeeper") for number in numbers]
    inside = [f"kafka-{n}-peer" for n in numbers]
    return [*clients, *inside, *(f"zookeeper-{n}-{what}" for n in numbers for what in ("quorum", "election"))]


def check_data(brokers: int, data_dir: Path) -> None:
    """Looks whether the data directory has the log of the other kind. The database beside it knows that log alone.

    Raises:
        NotOurs: it has; the text says what to do.
    """
    if brokers == 1 and (data_dir / "kafka-1" / "logs").exists():
        raise NotOurs(f"{data_dir} holds a cluster: start it with --cluster, or name another directory with --data.")
    if brokers > 1 and (data_dir / "kafka" / "logs").exists():
        raise NotOurs(f"{data_dir} holds a single broker: leave --cluster out, or name another directory with --data.")


def make(
    brokers: int, data_dir: Path, guard: Guard, jars: Sequence[Path], ways: Ways
) -> tuple[list[Kafka], list[ZooKeeper]]:
    """The servers, not started; each knows from `ways` its own ports and where to find the others."""
    if brokers == 1:
        connect = f"{HOST}:{ways.to('zookeeper', 'kafka')}"
        zookeeper = ZooKeeper(data_dir, ways.real["zookeeper"], guard, jars)
        return [Kafka(data_dir, ways.real["kafka"], guard, jars, connect, ways.to("kafka"))], [zookeeper]
    numbers = range(1, brokers + 1)
    return (
        [
            Kafka(
                data_dir,
                ways.real[f"kafka-{n}"],
                guard,
                jars,
                ",".join(f"{HOST}:{ways.to(f'zookeeper-{m}', f'kafka-{n}')}" for m in numbers),
                ways.to(f"kafka-{n}"),
                Seat(n, ways.real[f"kafka-{n}-peer"], ways.to(f"kafka-{n}-peer")),
            )
            for n in numbers
        ],
        [
            ZooKeeper(
                data_dir,
                ways.real[f"zookeeper-{n}"],
                guard,
                jars,
                Node(n, {m: (_inside(ways, n, m, "quorum"), _inside(ways, n, m, "election")) for m in numbers}),
            )
            for n in numbers
        ],
    )


def _inside(ways: Ways, node: int, other: int, what: str) -> int:
    """The port that stands in a node's settings for one of the ensemble; on its own it listens."""
    name = f"zookeeper-{other}-{what}"
    return ways.real[name] if node == other else ways.to(name, f"zookeeper-{node}")
