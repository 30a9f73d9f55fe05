"""The embedded stack: ZooKeeper, from the project's own `zookeeper.properties`: one, or a node of an ensemble."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from polling.local.addresses import HOST
from polling.local.guard import Guard
from polling.local.java import java_command, read_properties, settle, write_log4j, write_properties
from polling.local.server import Server, ask

_CHECKOUT = Path(__file__).parents[2] / "zookeeper.properties"
_PACKAGED = Path(__file__).with_name("zookeeper.properties")


def settings() -> dict[str, str]:
    """What `zookeeper.properties` says: the one of the checkout, or its copy where the package is installed."""
    path = _CHECKOUT if _CHECKOUT.exists() else _PACKAGED
    return read_properties(path.read_text(encoding="utf-8"))


@dataclasses.dataclass(frozen=True)
class Node:
    """A place in an ensemble: its number for good, and for each number (quorum port, election port).

    It listens on its own pair, and looks for the others at theirs.
    """

    number: int
    ensemble: Mapping[int, tuple[int, int]]


class ZooKeeper(Server):
    """ZooKeeper on one port of the loopback: alone, or as a `node` of an ensemble."""

    name = "zookeeper"
    stop_limit = 1.0

    def __init__(self, data_dir: Path, port: int, guard: Guard, jars: Sequence[Path], node: Node | None = None) -> None:
        if node is not None:
            self.name = f"{self.name}-{node.number}"
        super().__init__(data_dir, port, guard)
        self._jars = jars
        self._node = node

    def prepare(self) -> None:
        super().prepare()
        write_log4j(self.data)
        here = {
            "dataDir": str(self.data),
            "clientPort": str(self.port),
            "clientPortAddress": HOST,
            "admin.enableServer": "false",
            "4lw.commands.whitelist": "srvr",
            "autopurge.purgeInterval": "1",
        }
        if self._node is not None:
            settle(self.data / "myid", f"{self._node.number}\n")
            for number, (quorum, election) in self._node.ensemble.items():
                here[f"server.{number}"] = f"{HOST}:{quorum}:{election}"
        write_properties(self.data / "zookeeper.properties", settings() | here)

    def command(self) -> Sequence[str]:
        memory = "-Xmx256m" if self._node is None else "-Xmx128m"
        return java_command(
            self._jars,
            "org.apache.zookeeper.server.quorum.QuorumPeerMain",
            [str(self.data / "zookeeper.properties")],
            heap=[memory, "-XX:+UseSerialGC"],
            log4j=self.data / "log4j.properties",
        )

    def answers(self) -> bool:
        """Whether it serves; in an ensemble whether it is there, for it serves as soon as a second one is."""
        return self.mode() is not None or (self._node is not None and ask(self.port, b"srvr") != b"")

    def mode(self) -> str | None:
        """`standalone`, `leader` or `follower`; None where it does not serve."""
        for line in ask(self.port, b"srvr").decode(errors="replace").splitlines():
            if line.startswith("Mode: "):
                return line.removeprefix("Mode: ").strip()
        return None
