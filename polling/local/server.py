"""The embedded stack: what all its servers have in common: start until ready, stop, kill, start again."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from polling.local.addresses import HOST
from polling.local.errors import Cancelled, ServerFailed
from polling.local.guard import Guard
from polling.local.processes import Process

ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C"}
"""All that a server sees of ours: its settings stand in its files, whatever the user's shell has set."""


class Server(ABC):
    """A real server on one port of the loopback, with its data in one directory.

    `start` returns when it answers, and may be called again after `stop` or `kill`, on the same port and data.
    """

    name: str
    stop_signal: int = signal.SIGTERM
    start_limit: float = 90.0
    """Seconds until `start` gives up; generous, for a machine that is busy with other things."""
    stop_limit: float = 10.0

    def __init__(self, data_dir: Path, port: int, guard: Guard) -> None:
        self.port = port
        self.data = data_dir / self.name
        self.log = data_dir / "log" / f"{self.name}.log"
        self._process = Process(self.name, guard, self.log, self.stop_signal)
        self._cancelled = threading.Event()
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Of the running server, else None."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How its last run ended, negative for a signal; None while it runs."""
        return self._process.exit_code

    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process.alive()

    @abstractmethod
    def command(self) -> Sequence[str]:
        """The command line, after `prepare`."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it serves: one short request, never longer than about a second."""

    def prepare(self) -> None:
        """Makes data and settings where they are missing; may be called again at any time."""
        self.data.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        """Starts it and waits until it answers.

        One that exits at once is tried again until the limit, for two of them have a good reason: after kill -9
        a broker finds its own former self still registered (`NodeExists`) until its ZooKeeper session has ended,
        and PostgreSQL finds the memory of its former self still in use.

        Raises:
            ServerFailed: it was not ready in time; the text ends with the last line of its log.
            Cancelled: it was stopped, killed or cancelled meanwhile.
        """
        self._cancelled.clear()
        self.prepare()
        deadline = time.monotonic() + self.start_limit
        pause = 0.25
        while True:
            if self._closed:
                raise Cancelled(f"{self.name}: stopped before it was started.")
            self._process.spawn(self.command(), ENVIRONMENT)
            if self._wait_until_ready(deadline):
                return
            ended = self._process.exit_code
            self._process.kill()
            if self._cancelled.is_set() or self._closed:
                raise Cancelled(f"{self.name}: stopped before it was ready.")
            if time.monotonic() + pause > deadline:
                how = "did not answer" if ended is None else f"ended with code {ended}"
                raise ServerFailed(f"{self.name} {how}: {self._process.last_words()} (all of it: {self.log})")
            self._cancelled.wait(pause)
            pause = min(2 * pause, 2.0)

    def cancel(self) -> None:
        """For good: a `start` that another thread is in, or comes to, ends at once with an error."""
        self._closed = True
        self._cancelled.set()

    def stop(self) -> None:
        """Stops it politely, and by force where it takes longer than its limit."""
        self._cancelled.set()
        self._process.stop(self.stop_limit)

    def kill(self) -> None:
        """kill -9."""
        self._cancelled.set()
        self._process.kill()

    def _wait_until_ready(self, deadline: float) -> bool:
        while self._process.alive() and time.monotonic() < deadline and not self._cancelled.is_set():
            # The port alone proves nothing: it could be anybody's. Ours must be alive, and speak its language.
            if self.answers() and self._process.alive():
                return True
            self._cancelled.wait(0.05)
        return False


def ask(port: int, question: bytes, limit: float = 1.0) -> bytes:
    """What a server says to those few bytes on its port; empty where it says nothing within the limit."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), limit) as connection:
        connection.settimeout(limit)
        connection.sendall(question)
        return connection.recv(4096)
    return b""
