"""The embedded stack: Kafka, registered in ZooKeeper: one broker, or one of a cluster's."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from polling.local.addresses import HOST
from polling.local.guard import Guard
from polling.local.java import java_command, write_log4j, write_properties
from polling.local.server import Server, ask

_METADATA = struct.pack(">hhih5si", 3, 1, 1, 5, b"local", 0)
"""A Metadata request, version 1, correlation 1, for no topic: so a start needs no client library."""

_COMMON = {
    # A broker that was killed keeps its place in ZooKeeper this long, and cannot come back before.
    "zookeeper.session.timeout.ms": "6000",
    "zookeeper.connection.timeout.ms": "30000",
    "auto.create.topics.enable": "false",
    "num.partitions": "8",
    "offsets.topic.num.partitions": "8",
    "transaction.state.log.num.partitions": "8",
    "group.initial.rebalance.delay.ms": "0",
    # The default of 128 MB is a sixth of this small heap, for topics that hardly need compacting.
    "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
    "controlled.shutdown.max.retries": "1",
}
_ALONE = {
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
}
_TOGETHER = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "unclean.leader.election.enable": "false",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    # A follower that hangs is out of the way, and waited for no longer, after this; the default is 30 s.
    "replica.lag.time.max.ms": "10000",
    "controlled.shutdown.enable": "true",
}


@dataclasses.dataclass(frozen=True)
class Seat:
    """A broker's place in a cluster: its number for good, and its second listener, for the other brokers alone."""

    number: int
    peer_port: int
    advertised_peer: int


class Known(NamedTuple):
    """What a broker knows of its cluster."""

    controller: int
    """The id of the broker that is the controller, -1 where it knows none."""
    brokers: frozenset[int]
    """The ids of those that live."""


class Kafka(Server):
    """A broker on one port of the loopback: alone, with topics of one replica, or with a `seat` in a cluster.

    `zookeeper` is its connection string; `advertised` the port that it tells its clients, where that is not `port`.
    """

    name = "kafka"
    stop_limit = 4.0
    """A broker that is cut short here recovers its log at the next start."""

    def __init__(
        self,
        data_dir: Path,
        port: int,
        guard: Guard,
        jars: Sequence[Path],
        zookeeper: str,
        advertised: int | None = None,
        seat: Seat | None = None,
    ) -> None:
        if seat is not None:
            self.name = f"{self.name}-{seat.number}"
            self.start_limit = 2 * self.start_limit
        super().__init__(data_dir, port, guard)
        self._jars = jars
        self._zookeeper = zookeeper
        self._advertised = advertised or port
        self._seat = seat

    @property
    def broker_id(self) -> int:
        """Its number in the cluster; it stays, whatever becomes of the data."""
        return self._seat.number if self._seat is not None else 1

    def prepare(self) -> None:
        super().prepare()
        write_log4j(self.data)
        own = {
            "broker.id": str(self.broker_id),
            "log.dirs": str(self.data / "logs"),
            "zookeeper.connect": self._zookeeper,
        }
        write_properties(self.data / "server.properties", own | self._listeners() | _COMMON | self._copies())

    def _listeners(self) -> dict[str, str]:
        if self._seat is None:
            return {
                "listeners": f"PLAINTEXT://{HOST}:{self.port}",
                "advertised.listeners": f"PLAINTEXT://{HOST}:{self._advertised}",
            }
        return {
            "listeners": f"CLIENT://{HOST}:{self.port},PEER://{HOST}:{self._seat.peer_port}",
            "advertised.listeners": f"CLIENT://{HOST}:{self._advertised},PEER://{HOST}:{self._seat.advertised_peer}",
            "listener.security.protocol.map": "CLIENT:PLAINTEXT,PEER:PLAINTEXT",
            "inter.broker.listener.name": "PEER",
        }

    def _copies(self) -> dict[str, str]:
        return _ALONE if self._seat is None else _TOGETHER

    def command(self) -> Sequence[str]:
        memory = "-Xmx768m" if self._seat is None else "-Xmx512m"
        return java_command(
            self._jars,
            "kafka.Kafka",
            [str(self.data / "server.properties")],
            heap=["-Xms256m", memory, "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"],
            log4j=self.data / "log4j.properties",
        )

    def answers(self) -> bool:
        """Whether it knows itself as a broker, and one that lives as the controller, which may be itself.

        Its port opens sooner, but what asks it to create a topic then may wait for half a minute.
        """
        known = self.known()
        return known is not None and {self.broker_id, known.controller} <= known.brokers

    def known(self) -> Known | None:
        """What it says of its cluster; None where it does not answer."""
        answer = ask(self.port, struct.pack(">i", len(_METADATA)) + _METADATA)
        try:
            return _parse(answer)
        except struct.error:
            return None


def _parse(answer: bytes) -> Known:
    """Size, correlation, then each broker's id, host, port and rack (null here), then the controller's id."""
    correlation, count = struct.unpack_from(">ii", answer, 4)
    if correlation != 1 or not 0 <= count < 100:
        raise struct.error
    at, brokers = 12, set()
    for _ in range(count):
        number, length = struct.unpack_from(">ih", answer, at)
        at += 6 + length + 4 + 2
        brokers.add(number)
    (controller,) = struct.unpack_from(">i", answer, at)
    return Known(controller, frozenset(brokers))
