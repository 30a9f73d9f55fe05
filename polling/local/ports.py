"""The embedded stack: which ports are free on the loopback."""

from __future__ import annotations

import socket
from collections.abc import Collection

from polling.local.addresses import HOST


def is_free(port: int, host: str = HOST) -> bool:
    """Whether a server could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # A port in TIME_WAIT is free to a server, which sets the same option.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def any_free(taken: Collection[int] = ()) -> int:
    """A port that nobody listens on, none of `taken`."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind((HOST, 0))
            port: int = probe.getsockname()[1]
        if port not in taken:
            return port


def choose(*wished: int | None, taken: Collection[int] = ()) -> int:
    """The first wished port that is free and not in `taken`, else any free one."""
    for port in wished:
        if port is not None and port not in taken and is_free(port):
            return port
    return any_free(taken)
