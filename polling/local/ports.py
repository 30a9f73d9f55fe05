"""The embedded stack: which ports are free on the loopback."""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Collection

from polling.local.addresses import HOST
from polling.local.errors import PortTaken

_RANDOM = random.SystemRandom()

RANGE = range(15_000, 32_000)
"""Below the range that the kernel gives to outgoing connections: a server that is down for some seconds would lose a
port from there to any connection, a client's vain attempts to reach that very server among them."""


def why_not(port: int, host: str = HOST) -> str | None:
    """Why no server of ours could listen there now; None where one could."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # A port in TIME_WAIT is free to a server, which sets the same option.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return (
                "is taken by another program"
                if error.errno == errno.EADDRINUSE
                else f"cannot be used ({error.strerror})"
            )
    return None


def is_free(port: int) -> bool:
    """Whether a server could listen there now, on the loopback of today's internet and of yesterday's.

    `localhost` may be either: somebody who has the port on `::1` alone would get what is meant for us.
    """
    if why_not(port) is not None:
        return False
    return not (socket.has_ipv6 and (why_not(port, "::1") or "").startswith("is taken"))


def any_free(taken: Collection[int] = ()) -> int:
    """A port of `RANGE` that nobody listens on, none of `taken`."""
    for _ in range(1000):
        port = _RANDOM.choice(RANGE)
        if port not in taken and is_free(port):
            return port
    raise PortTaken(f"1000 ports from {RANGE.start} to {RANGE.stop} were tried, and all are taken.")


def choose(*wished: int | None, taken: Collection[int] = ()) -> int:
    """The first wished port that is free and not in `taken`, else any free one."""
    for port in wished:
        if port is not None and port not in taken and is_free(port):
            return port
    return any_free(taken)


def asked_for(variable: str, text: str, host: str) -> int:
    """The port that the user named in a variable; one that is taken is not exchanged for another behind his back.

    Raises:
        PortTaken: it is in use.
    """
    port = int(text)
    reason = why_not(port, host) if port else None
    if reason is not None:
        raise PortTaken(f"{variable}: port {port} {reason}; choose another, or leave {variable} out.")
    return port or any_free()
