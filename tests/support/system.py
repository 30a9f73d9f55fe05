"""Tests: the project's own processes, as a user runs them, on servers that are given."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import psycopg

from polling import settings
from polling.local import ports
from polling.local.addresses import environment
from polling.local.guard import Guard
from polling.local.processes import Process
from polling.local.servers import Servers
from support.http import Client
from support.waiting import until

POLLING = (sys.executable, "-P", "-m", "polling")
STARTED = {"bridge": (), "worker": ("--concurrency", "2"), "api": (), "beat": (), "flower": ()}
"""The parts in the order of starting, with their options."""

STOP_LIMIT = 15.0
"""Seconds after SIGTERM at which a part is killed and the test fails: each must stop in 10."""

STEP_LIMIT = 90.0


class System:
    """API, bridge, worker, beat and Flower, each a process in a group of its own, logging to a file.

    `variables` go on top of the servers' addresses. A guard process ends everything should the test's process be
    killed. `running` has every system that was started and not stopped.
    """

    running: ClassVar[list[System]] = []

    def __init__(self, servers: Servers, folder: Path, **variables: str) -> None:
        self.folder = folder
        self.servers = servers
        self._guard = Guard(folder)
        self._taken: set[int] = set()
        self.ports = {name: self._port() for name in STARTED}
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self.variables: dict[str, str] = {
            **inherited,
            **environment(servers.addresses),
            "PYTHONUNBUFFERED": "1",
            "NODE_NAME": "tests",
            "ALLOWED_SKEW": "1",
            "BRIDGE_DEADLINE": "5",
            "VOTES_PARTITIONS": "4",
            **variables,
        }
        self.settings = settings.read({**self.variables, "PORT": str(self.ports["api"])})
        self.url = f"http://127.0.0.1:{self.ports['api']}"
        self.ws_url = f"ws://127.0.0.1:{self.ports['api']}/"
        self.flower_url = f"http://127.0.0.1:{self.ports['flower']}"
        self.client = Client(self.url)
        self._processes: dict[str, Process] = {}

    def start(self, *parts: str) -> None:
        """Prepares database and topics, starts these parts (all, where none is named), waits until they are ready."""
        self.prepare()
        for name in parts or STARTED:
            self.spawn(name)
        self.until_ready(parts or STARTED)

    def prepare(self) -> None:
        """The first half of `start`: the database and the topics are there."""
        self._guard.open()
        System.running.append(self)
        for words in (["migrate"], ["topics", "create"]):
            self.command(*words)

    def words(self, _alias: str) -> tuple[str, ...]:
        """What the command of a part begins with."""
        return POLLING

    def stop(self) -> None:
        """Ends everything: politely first, for what a part says at its end is in its log."""
        self.client.close()
        for process in self._processes.values():
            process.request_stop()
        for process in self._processes.values():
            process.stop(STOP_LIMIT)
        self._guard.close()
        if self in System.running:
            System.running.remove(self)

    def command(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Runs `polling …` to its end; fails where it does not end with 0."""
        done = self.try_command(*words, **variables)
        assert done.returncode == 0, f"polling {' '.join(words)}: {done.stdout}{done.stderr}"
        return done

    def try_command(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """The same, however it ends."""
        return subprocess.run(
            [*POLLING, *words],
            env=self.variables | variables,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=STEP_LIMIT,
            check=False,
        )

    def spawn(self, name: str, *, under: str | None = None, options: Iterable[str] | None = None, **more: str) -> None:
        """Starts a part and does not wait. `under` is another name for it, so that there may be two of a kind."""
        alias = under or name
        if alias not in self.ports:
            self.ports[alias] = self._port()
        process = self._processes.get(alias)
        if process is None:
            process = self._processes[alias] = Process(alias, self._guard, self.folder / "log" / f"{alias}.log")
        own = {"api": "PORT", "flower": "FLOWER_PORT"}.get(name, "METRICS_PORT")
        words = [*self.words(alias), name, *(STARTED[name] if options is None else options)]
        process.spawn(words, self.variables | {own: str(self.ports[alias])} | more, self.folder)

    def until_ready(self, parts: Iterable[str] = tuple(STARTED)) -> None:
        """Waits until these parts say that they are ready."""
        for name in parts:
            until(lambda name=name: self.is_ready(name), f"{name} is ready")  # type: ignore[misc]

    def is_ready(self, name: str) -> bool:
        """What a part's own health address says; fails where the part has ended."""
        process = self._processes[name]
        assert process.alive(), f"{name} ended with {process.exit_code}: {process.last_words()}"
        path = "/healthcheck" if name.startswith("flower") else "/readyz"
        with self.client_of(name) as client:
            try:
                return client.get(path).status == 200
            except OSError:
                return False

    def end(self, name: str) -> None:
        """SIGTERM, and waits until the part has ended, which it must do in time."""
        process = self._processes[name]
        process.request_stop()
        code = process.wait(STOP_LIMIT)
        process.kill()
        assert code is not None, f"{name} did not stop within {STOP_LIMIT:g} s"

    def kill(self, name: str) -> None:
        """kill -9 of the part and all its children."""
        self._processes[name].kill()

    def restart(self, name: str) -> None:
        """Ends it politely, starts it again, waits until it is ready."""
        self.end(name)
        self.spawn(name)
        self.until_ready([name])

    def alive(self, name: str) -> bool:
        return self._processes[name].alive()

    def process(self, name: str) -> Process:
        """The process of a part that was started."""
        return self._processes[name]

    def pid(self, name: str) -> int:
        """The pid of a running part."""
        pid = self._processes[name].pid
        assert pid is not None, f"{name} does not run"
        return pid

    def children(self, name: str) -> list[int]:
        """The pids of a part's child processes."""
        pid = self.pid(name)
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def client_of(self, alias: str) -> Client:
        """A client of another API process, or of a part's metrics."""
        return Client(self.url_of(alias))

    def url_of(self, alias: str) -> str:
        return f"http://127.0.0.1:{self.ports[alias]}"

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """A part that does nothing for a while (SIGSTOP), but is not dead: for seconds only."""
        os.kill(self.pid(name), signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid(name), signal.SIGCONT)

    def log_of(self, name: str) -> str:
        """All that a part has logged."""
        path = self.folder / "log" / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def logs(self) -> Mapping[str, Path]:
        """The log file of each part that was ever started."""
        return {name: self.folder / "log" / f"{name}.log" for name in self._processes}

    @contextmanager
    def database(self) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
        """A connection of the test's own."""
        with psycopg.connect(self.settings.database_url, autocommit=True) as connection:
            yield connection

    def _port(self) -> int:
        port = ports.choose(taken=self._taken)
        self._taken.add(port)
        return port


def revive(servers: Servers) -> None:
    """Starts the servers that were killed or stopped, those first that others need."""
    for server in reversed(servers.all):
        if not server.alive():
            server.start()
