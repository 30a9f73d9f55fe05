"""Measuring: what a socket costs that watches a poll in which nothing happens, beside one of a bare Tornado handler.

The memory of the server's process with so many more sockets, after some have been opened before; the kernel's own is
not in it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from bench import usage
from bench.children import helper
from bench.fan_out import OPTIONS, readers
from bench.report import Figure, Goal, Part
from bench.system import System
from polling.local import ports

_BEFORE = 100
_SETTLE = 2.0


def measure(*, sockets: int) -> Part:
    """So many sockets to each."""
    port = ports.any_free()
    with System() as system, helper("plain_handler", [port, 0]) as bare:
        system.start("api")
        poll = system.create_poll("What is your favorite language?", OPTIONS)
        host, api = system.address
        ours = _growth(lambda: system.megabytes("api"), host, api, f"/?poll={poll}", sockets)
        plain = _growth(lambda: usage.megabytes(bare.pid), host, port, "/", sockets)
    figures = [
        Figure("memory of an idle socket", ours, "kB", plain, "a bare Tornado WebSocket", Goal(ratio=1.2, most=True)),
    ]
    return Part(f"idle: {sockets:,} sockets that watch one poll", figures, {"kilobytes": ours, "bare": plain})


def _growth(megabytes: Callable[[], float], host: str, port: int, path: str, sockets: int) -> float:
    """Kilobytes a socket."""
    with readers(host, port, path, _BEFORE):
        time.sleep(_SETTLE)
        before = megabytes()
        with readers(host, port, path, sockets):
            time.sleep(_SETTLE)
            return (megabytes() - before) * 1024 / sockets
