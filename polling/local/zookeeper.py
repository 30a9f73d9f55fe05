"""The embedded stack: ZooKeeper, from the project's own `zookeeper.properties`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from polling.local.addresses import HOST
from polling.local.guard import Guard
from polling.local.java import LOG4J, java_command, read_properties, write_properties
from polling.local.server import Server, ask

_CHECKOUT = Path(__file__).parents[2] / "zookeeper.properties"
_PACKAGED = Path(__file__).with_name("zookeeper.properties")


def settings() -> dict[str, str]:
    """What `zookeeper.properties` says: the one of the checkout, or its copy where the package is installed."""
    path = _CHECKOUT if _CHECKOUT.exists() else _PACKAGED
    return read_properties(path.read_text(encoding="utf-8"))


class ZooKeeper(Server):
    """ZooKeeper on one port of the loopback."""

    name = "zookeeper"
    stop_limit = 1.0

    def __init__(self, data_dir: Path, port: int, guard: Guard, jars: Sequence[Path]) -> None:
        super().__init__(data_dir, port, guard)
        self._jars = jars

    def prepare(self) -> None:
        super().prepare()
        (self.data / "log4j.properties").write_text(LOG4J, encoding="utf-8")
        here = {
            "dataDir": str(self.data),
            "clientPort": str(self.port),
            "clientPortAddress": HOST,
            "admin.enableServer": "false",
            "4lw.commands.whitelist": "srvr",
            "autopurge.purgeInterval": "1",
        }
        write_properties(self.data / "zookeeper.properties", settings() | here)

    def command(self) -> Sequence[str]:
        return java_command(
            self._jars,
            "org.apache.zookeeper.server.quorum.QuorumPeerMain",
            [str(self.data / "zookeeper.properties")],
            heap=["-Xmx256m", "-XX:+UseSerialGC"],
            log4j=self.data / "log4j.properties",
        )

    def answers(self) -> bool:
        return b"Mode:" in ask(self.port, b"srvr")
