"""The embedded stack: the entry of `polling up`: signals, one thread that starts, one that waits and stops."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from polling import settings
from polling.local.display import Display
from polling.local.errors import Cancelled, LocalError
from polling.local.guard import Guard
from polling.local.parts import Commands

if TYPE_CHECKING:
    from polling.local.system import System

HURRY_AFTER = 1.0
"""Seconds after the first signal from which a Ctrl-C is a second one, and not the first by another way."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def up(
    environment: Mapping[str, str],
    data_dir: Path,
    api_processes: int,
    workers: int,
    commands: Commands | None = None,
    *,
    bridges: int = 1,
    cluster: bool = False,
) -> int:
    """Runs the whole system until SIGINT, SIGTERM or SIGHUP; returns the command's exit code. Main thread only.

    `environment` is what the user gave; servers it names (`KAFKA_BROKER`, `DB_HOST`, `REDIS_URL`) are used, the
    others are started here, with their data in `data_dir`. `cluster`: three brokers on three ZooKeeper nodes, and two
    worker nodes, that share the `workers`. `commands` are run in place of the project's own.
    """
    data_dir = data_dir.absolute()
    display = Display()
    try:
        from polling.local.servers import open_guard
        from polling.local.system import System
    except ModuleNotFoundError as error:
        display.trouble(f"polling up: the package {error.name} is missing: pip install 'live-polling[local]'.")
        return 1
    guard = Guard(data_dir)
    try:
        open_guard(guard)
    except LocalError as error:
        display.trouble(f"polling up: {data_dir} is {error}.")
        return 1
    commands = commands or Commands.of(api_processes, workers, bridges, worker_nodes=2 if cluster else 1)
    system = System(environment, data_dir, commands, display, guard, cluster)
    return _Run(system, display, guard).until_stopped()


class _Run:
    def __init__(self, system: System, display: Display, guard: Guard) -> None:
        self._system = system
        self._display = display
        self._guard = guard
        self._stopping = threading.Event()
        self._failure: str | None = None
        self._signalled: float | None = None

    def until_stopped(self) -> int:
        # Starting has a thread of its own, so that a signal finds this one free to stop it.
        starter = threading.Thread(target=self._start, name="starter", daemon=True)
        with self._signals():
            starter.start()
            # No wait() for the event: a signal that comes while this process is suspended (Ctrl-Z) may be handed to
            # another thread when it goes on, and Python's handler runs in this one, which nothing would wake.
            while not self._stopping.is_set():
                time.sleep(0.1)
            self._stop(starter)
        if self._failure is not None:
            self._display.trouble(f"polling up: {self._failure}")
            return 1
        return 0

    def _start(self) -> None:
        failure: str | None = "a fault of its own; the trace is above."
        try:
            self._system.bring_up()
            failure = None
        except Cancelled:
            failure = None
            self._stopping.set()
        except (LocalError, settings.SettingError, OSError) as error:
            failure = str(error)
        finally:
            self._display.done()
            # A signal to our whole group may reach a step before it has a session of its own: it ends of the signal,
            # and that may be seen here before the signal is.
            if failure is not None and not self._stopping.wait(0.3):
                self._failure = failure
                self._stopping.set()

    def _stop(self, starter: threading.Thread) -> None:
        self._display.done()
        began = time.monotonic()
        if self._failure is None:
            self._display.say("stopping; the data stays")
        self._system.cancel()
        starter.join(5)
        self._system.take_down()
        self._guard.close()
        if self._failure is None:
            self._display.say(f"stopped after {time.monotonic() - began:.1f} s")

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        # Who started us with nohup wants us to outlive the terminal.
        taken = [n for n in _SIGNALS if n != signal.SIGHUP or before[n] != signal.SIG_IGN]
        for number in taken:
            signal.signal(number, self._on_signal)
        try:
            yield
        finally:
            for number in taken:
                signal.signal(number, before[number])

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._signalled is None:
            self._signalled = now
            self._stopping.set()
        elif number == signal.SIGINT and now - self._signalled > HURRY_AFTER:
            # Not here: this may have interrupted the very code whose locks a kill needs.
            threading.Thread(target=self._system.hurry, daemon=True).start()
