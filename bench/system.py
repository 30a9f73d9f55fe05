"""Measuring: the real system on real servers, free ports and a folder that is thrown away, and what it costs in CPU."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

import psycopg

from bench import usage
from polling import settings
from polling.local import ports
from polling.local.addresses import HOST, environment
from polling.local.guard import Guard
from polling.local.processes import Process
from polling.local.servers import Servers, open_guard
from polling.local.system import is_ready
from polling.store.frontier import FrontierStore
from polling.vote_log import VOTES_TOPIC, Topics

POLLING = (sys.executable, "-P", "-m", "polling")
ROOT = Path(__file__).parents[1]
WORKER_PROCESSES = 2
STEP_LIMIT = 120.0
"""Seconds that a one-shot command, a start or a wait may take: a busy machine is no error."""

LIMITS = {
    "RATE_LIMIT_EXEMPT": "192.0.2.0/24",
    "RATE_LIMIT_VOTES": "1000000/1000000",
    "RATE_LIMIT_VOTER": "1000000/1000000",
    "RATE_LIMIT_POLLS": "1000000/1000000",
}
"""The limits are on, for loopback too, and never reached: what is measured is what a limited address gets."""

STOP_LIMIT = 15.0


class BenchError(Exception):
    """Something did not work: the figures mean nothing. Slowness is none."""


class System:
    """Servers and parts, in a temporary folder; a context manager. Nothing runs on after it, even where it is killed.

    Started are the servers, the tables and the topics; parts by `start`, each in a process group of its own.
    `variables` are more settings.
    """

    def __init__(self, api_processes: int = 1, **variables: str) -> None:
        self._api_processes = api_processes
        self._variables = variables
        self._stack = ExitStack()
        self._processes: dict[str, Process] = {}
        self._ports: dict[str, int] = {}

    def __enter__(self) -> System:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="polling-bench-", ignore_cleanup_errors=True)))
            self._guard = Guard(folder)
            open_guard(self._guard)
            stack.callback(self._guard.close)
            self.servers = Servers(folder, guard=self._guard)
            stack.callback(self.servers.stop)
            addresses = self.servers.start()
            inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
            self.environment = {
                **inherited,
                **environment(addresses),
                "PORT": str(self._port("api")),
                "PYTHONUNBUFFERED": "1",
                **LIMITS,
                **self._variables,
            }
            self.settings = settings.read(self.environment)
            self._folder = folder
            stack.callback(self._stop_all)
            for words in (("migrate",), ("topics", "create")):
                self._run(words)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the API."""
        return HOST, self._ports["api"]

    def start(self, *parts: str) -> None:
        """Starts `api`, `bridge`, `worker` or `beat`, and waits until they are ready."""
        options = {
            "api": ("--processes", str(self._api_processes)),
            "worker": ("--concurrency", str(WORKER_PROCESSES)),
        }
        for name in parts:
            words = options.get(name, ())
            process = Process(name, self._guard, self._folder / "log" / f"{name}.log")
            own = {} if name == "api" else {"METRICS_PORT": str(self._port(name))}
            process.spawn((*POLLING, name, *words), self.environment | own, ROOT)
            self._processes[name] = process
        for name in parts:
            wait_until(lambda name=name: self._is_ready(name), f"{name} is ready")  # type: ignore[misc]

    def stop(self, name: str) -> None:
        """SIGTERM, and waits."""
        self._processes.pop(name).stop(STOP_LIMIT)

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        """A connection of the measurer's own."""
        return psycopg.connect(self.settings.database_url, autocommit=True)

    def create_poll(self, question: str, options: Sequence[str]) -> str:
        """The id of a new poll. Needs the API."""
        created = self.ask("POST", "/api/polls", {"question": question, "options": list(options)}, 201)
        return str(json.loads(created)["id"])

    def ask(self, method: str, path: str, value: object = None, status: int = 200) -> bytes:
        """One request to the API; its answer's body."""
        connection = http.client.HTTPConnection(*self.address, timeout=30)
        try:
            connection.request(method, path, json.dumps(value), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status != status:
            raise BenchError(f"{method} {path}: {answer.status} {body[:300]!r}")
        return body

    def lag(self) -> int:
        """Records of the log that PostgreSQL has not counted."""
        kafka = Topics(self.settings.kafka_broker)
        store = FrontierStore(self.settings.database_url)
        try:
            ends = kafka.ends(VOTES_TOPIC, range(self.settings.votes_partitions))
            return sum(ends.values()) - sum(store.frontiers().values())
        finally:
            store.close()

    def wait_until_counted(self) -> None:
        """Returns when PostgreSQL holds all that the log has."""
        kafka = Topics(self.settings.kafka_broker)
        store = FrontierStore(self.settings.database_url)
        try:
            ends = {(1, p): end for p, end in kafka.ends(VOTES_TOPIC, range(self.settings.votes_partitions)).items()}
            wait_until(lambda: all(store.frontiers()[place] >= end for place, end in ends.items()), "all is counted")
        finally:
            store.close()

    def megabytes(self, name: str) -> float:
        """What a part's process has in memory now."""
        return usage.megabytes(self._processes[name].pid or 0)

    def cpu_seconds(self) -> dict[str, float]:
        """CPU used so far by each part and server, with all their children."""
        return usage.cpu_seconds(self._roots())

    def memory(self) -> dict[str, float]:
        """Bytes in memory of each part and server, with all their children; what they share counts for each."""
        return usage.memory(self._roots())

    def own_memory(self) -> dict[str, float]:
        """Megabytes that each single process has for itself alone."""
        return usage.own_memory(self._roots())

    def _roots(self) -> dict[str, int]:
        roots = {name: process.pid for name, process in self._processes.items()}
        roots |= {server.name: server.pid for server in self.servers.all}
        return {name: pid for name, pid in roots.items() if pid is not None}

    def _is_ready(self, name: str) -> bool:
        process = self._processes[name]
        if not process.alive():
            raise BenchError(f"{name} ended with {process.exit_code}: {process.last_words()}")
        # Several share one port: it answers before all of them are there, and the load would go to the first alone.
        wanted = self._api_processes if name == "api" else 1
        return is_ready(HOST, self._ports[name]) and usage.listening(self._ports[name]) >= wanted

    def _run(self, words: Sequence[str]) -> None:
        done = subprocess.run(
            [*POLLING, *words],
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=STEP_LIMIT,
            check=False,
        )
        if done.returncode:
            raise BenchError(f"polling {' '.join(words)}: {done.stderr[-500:]}")

    def _port(self, name: str) -> int:
        self._ports[name] = ports.choose(taken=self._ports.values())
        return self._ports[name]

    def _stop_all(self) -> None:
        for process in self._processes.values():
            process.request_stop()
        for process in self._processes.values():
            process.stop(STOP_LIMIT)


def wait_until(condition: Callable[[], bool], what: str, limit: float = STEP_LIMIT, pause: float = 0.1) -> None:
    """Waits for a condition.

    Raises:
        BenchError: it does not come about.
    """
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() > deadline:
            raise BenchError(f"not within {limit:g} s: {what}")
        time.sleep(pause)


def difference(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """What was used between two looks, by role."""
    return {name: seconds - before.get(name, 0.0) for name, seconds in after.items()}
