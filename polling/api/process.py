"""Step 1 of 7, accept: one process or several, each with its own listening socket, and how they end.

With several the parent only watches: it forks before any loop or Kafka client is made, because neither survives a
fork, and starts a child again that died. The kernel spreads connections over the children's sockets (SO_REUSEPORT).
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from types import FrameType

import uvloop

from polling import telemetry
from polling.settings import Settings
from polling.telemetry.serving import child_ended

log = telemetry.logger(__name__)

BACKLOG = 1024
END = 10.0
"""Seconds after which a child that was told to stop is killed."""

PAUSE = 1.0
"""Seconds before a dead child is started again, so that one that can't start does not keep a processor busy."""

ServeOne = Callable[[socket.socket], Awaitable[None]]


class PortTaken(Exception):
    """Another process listens at this address and port, or nobody may."""


def run_processes(settings: Settings, processes: int, serve_one: ServeOne) -> None:
    """Serves in this process, or in several children of it. Returns after SIGTERM or SIGINT.

    Raises:
        PortTaken: nobody can listen there.
    """
    _allow_many_connections()
    if processes == 1:
        _run(serve_one, listen(settings.bind_address, settings.port))
        return
    listen(settings.bind_address, settings.port).close()  # without SO_REUSEPORT a port that is taken shows
    held = _bound(settings.bind_address, settings.port, shared=True)
    _Parent(settings.bind_address, held.getsockname()[1], processes, serve_one).run()
    held.close()


def listen(address: str, port: int, shared: bool = False) -> socket.socket:
    """A listening socket; `shared` lets other processes listen at the same port."""
    listening = _bound(address, port, shared)
    listening.listen(BACKLOG)
    return listening


def _bound(address: str, port: int, shared: bool) -> socket.socket:
    [(family, kind, protocol, _, where), *_] = socket.getaddrinfo(
        address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.setblocking(False)
        bound.bind(where)
    except OSError as error:
        bound.close()
        raise PortTaken(error.strerror) from error
    return bound


def _allow_many_connections() -> None:
    """Each connection is a file: the soft limit of 1,024 is for programs that use `select`."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _run(serve_one: ServeOne, listening: socket.socket) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_awaited(serve_one(listening)))


async def _awaited(served: Awaitable[None]) -> None:
    await served


class _Parent:
    """Watches its children. The first SIGTERM or SIGINT stops them all."""

    def __init__(self, address: str, port: int, processes: int, serve_one: ServeOne) -> None:
        self._address, self._port, self._processes, self._serve_one = address, port, processes, serve_one
        self._children: dict[int, float] = {}
        self._stopping_since: float | None = None

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        for _ in range(self._processes):
            self._start()
        while self._children:
            self._reap()
            if self._stopping_since is not None and time.monotonic() - self._stopping_since > END:
                log.warning("killing processes that did not stop", processes=len(self._children))
                self._tell(signal.SIGKILL)
            time.sleep(0.05)

    def _start(self) -> None:
        pid = os.fork()
        if pid == 0:
            self._be_child()
        self._children[pid] = time.monotonic()

    def _be_child(self) -> None:
        code = 1
        try:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            parent = os.getppid()
            listening = listen(self._address, self._port, shared=True)
            _run(lambda one: _until_orphaned(self._serve_one(one), parent), listening)
            code = 0
        except BaseException:
            log.exception("a process failed")
        finally:
            os._exit(code)

    def _reap(self) -> None:
        for pid, started in list(self._children.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            del self._children[pid]
            child_ended(pid)
            if self._stopping_since is None:
                log.warning("a process died and is started again", died=pid, code=os.waitstatus_to_exitcode(status))
                time.sleep(max(0.0, PAUSE - (time.monotonic() - started)))
                self._start()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._stopping_since is None:
            self._stopping_since = time.monotonic()
            self._tell(signal.SIGTERM)

    def _tell(self, number: signal.Signals) -> None:
        for pid in self._children:
            os.kill(pid, number)


async def _until_orphaned(served: Awaitable[None], parent: int) -> None:
    """Serves; stops in order where the parent is gone, for then nobody would stop this process."""

    async def watch() -> None:
        while os.getppid() == parent:
            await asyncio.sleep(0.5)
        log.warning("the parent is gone")
        os.kill(os.getpid(), signal.SIGTERM)

    watching = asyncio.create_task(watch(), name="watch the parent")
    try:
        await served
    finally:
        watching.cancel()
