"""The embedded stack: one Kafka broker, registered in ZooKeeper."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

from polling.local.addresses import HOST
from polling.local.guard import Guard
from polling.local.java import LOG4J, java_command, write_properties
from polling.local.server import Server, ask

_METADATA = struct.pack(">hhih5si", 3, 1, 1, 5, b"local", 0)
"""A Metadata request, version 1, correlation 1, for no topic: so a start needs no client library."""


class Kafka(Server):
    """A single broker on one port of the loopback; its topics have one replica."""

    name = "kafka"
    stop_limit = 4.0
    """A broker that is cut short here recovers its log at the next start."""

    def __init__(self, data_dir: Path, port: int, guard: Guard, jars: Sequence[Path], zookeeper_port: int) -> None:
        super().__init__(data_dir, port, guard)
        self._jars = jars
        self._zookeeper = f"{HOST}:{zookeeper_port}"

    def prepare(self) -> None:
        super().prepare()
        (self.data / "log4j.properties").write_text(LOG4J, encoding="utf-8")
        write_properties(
            self.data / "server.properties",
            {
                "broker.id": "1",
                "listeners": f"PLAINTEXT://{HOST}:{self.port}",
                "advertised.listeners": f"PLAINTEXT://{HOST}:{self.port}",
                "log.dirs": str(self.data / "logs"),
                "zookeeper.connect": self._zookeeper,
                # A broker that was killed keeps its place in ZooKeeper this long, and cannot come back before.
                "zookeeper.session.timeout.ms": "6000",
                "zookeeper.connection.timeout.ms": "30000",
                "auto.create.topics.enable": "false",
                "num.partitions": "8",
                "offsets.topic.replication.factor": "1",
                "offsets.topic.num.partitions": "8",
                "transaction.state.log.replication.factor": "1",
                "transaction.state.log.min.isr": "1",
                "transaction.state.log.num.partitions": "8",
                "group.initial.rebalance.delay.ms": "0",
                # The default of 128 MB is a sixth of this small heap, for topics that hardly need compacting.
                "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
                "controlled.shutdown.max.retries": "1",
            },
        )

    def command(self) -> Sequence[str]:
        return java_command(
            self._jars,
            "kafka.Kafka",
            [str(self.data / "server.properties")],
            heap=["-Xms256m", "-Xmx768m", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"],
            log4j=self.data / "log4j.properties",
        )

    def answers(self) -> bool:
        """Whether it knows itself as a broker and as the controller.

        Its port opens sooner, but what asks it to create a topic then may wait for half a minute.
        """
        answer = ask(self.port, struct.pack(">i", len(_METADATA)) + _METADATA)
        host = HOST.encode()
        one_broker = struct.pack(f">iiih{len(host)}sih", 1, 1, 1, len(host), host, self.port, -1)
        return answer[4:].startswith(one_broker + struct.pack(">i", 1))
