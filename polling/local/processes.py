"""The embedded stack: one child process, in a session of its own, logging to a file, on record for the guard."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from polling.local.guard import Guard

LOG_LIMIT = 16 * 1024 * 1024
"""Bytes; a log longer than this is put aside as `<name>.log.1` when its process starts."""

_TROUBLE = ("FATAL", "ERROR", "Error", "Exception", "error:")


class Process:
    """A command that can be started, stopped, killed and started again.

    A session of its own keeps a Ctrl-C at the terminal, or a SIGTERM to our process group, away from it: the
    order of stopping is ours alone. The log is a file, not a pipe, so that neither a slow terminal nor our own
    death blocks or loses what it writes.
    """

    def __init__(self, name: str, guard: Guard, log: Path, stop_signal: int = signal.SIGTERM) -> None:
        self.name = name
        self.log = log
        self._guard = guard
        self._stop_signal = stop_signal
        self._popen: subprocess.Popen[bytes] | None = None
        self._swept = False
        self._lock = threading.Lock()

    @property
    def pid(self) -> int | None:
        """Of the running process, else None."""
        return self._popen.pid if self._popen is not None and self._popen.poll() is None else None

    @property
    def exit_code(self) -> int | None:
        """Of the last run, negative for a signal; None while it runs or where it never ran."""
        return None if self._popen is None else self._popen.poll()

    def alive(self) -> bool:
        """Whether it runs now."""
        return self.pid is not None

    def spawn(self, command: Sequence[str], environment: Mapping[str, str], directory: Path = Path("/")) -> None:
        """Starts it, in that directory and with no other environment.

        Raises:
            OSError: the command does not exist or may not be run.
        """
        with self._lock:
            if self.alive():
                raise RuntimeError(f"{self.name} runs already, as process {self.pid}")
            self.log.parent.mkdir(parents=True, exist_ok=True)
            if self.log.exists() and self.log.stat().st_size > LOG_LIMIT:
                self.log.replace(self.log.with_name(self.log.name + ".1"))
            with self.log.open("ab") as output:
                self._popen = subprocess.Popen(
                    command,
                    env=dict(environment),
                    cwd=directory,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            self._swept = False
            self._guard.record(self.name, self._popen.pid, self._stop_signal)

    def wait(self, timeout: float) -> int | None:
        """Its exit code, or None where it still runs after `timeout` seconds."""
        if self._popen is None:
            return None
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def last_words(self) -> str:
        """The last line of its log that names a trouble, or else the last that says anything."""
        if not self.log.exists():
            return "no log"
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 8192))
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
        telling = [line for line in lines if line and not line.startswith("at ")]
        troubles = [line for line in telling if any(word in line for word in _TROUBLE)]
        return (troubles or telling or ["an empty log"])[-1]

    def request_stop(self) -> None:
        """Sends the polite signal to the process itself; its children are its own to stop."""
        if self._popen is not None and self._popen.poll() is None:
            self._popen.send_signal(self._stop_signal)

    def stop(self, timeout: float) -> None:
        """Asks it to end, waits `timeout` seconds at most, then kills whatever is left of its group."""
        self.request_stop()
        deadline = time.monotonic() + timeout
        self.wait(max(0.0, deadline - time.monotonic()))
        self.kill()

    def kill(self) -> None:
        """SIGKILL to it and all that is left of its group; returns when it is gone. Once a run: then it is empty."""
        with self._lock:
            if self._popen is None or self._swept:
                return
            self._swept = True
            # A group that has members keeps its number; do this soon after the leader's death, not hours later.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._popen.pid, signal.SIGKILL)
            self._popen.wait()
            self._guard.forget(self.name, self._popen.pid)
