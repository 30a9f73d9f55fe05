"""The embedded stack: PostgreSQL, Valkey, ZooKeeper and Kafka together, for `polling up` and for the tests."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from types import TracebackType

from polling.local import jars
from polling.local.addresses import HOST, Addresses, Ports, environment, write_privately
from polling.local.errors import AlreadyRunning
from polling.local.guard import Guard
from polling.local.kafka import Kafka
from polling.local.ports import choose
from polling.local.postgres import Postgres
from polling.local.server import Server
from polling.local.valkey import Valkey
from polling.local.zookeeper import ZooKeeper

__all__ = ["Addresses", "Ports", "Servers", "environment"]


class Servers:
    """Real servers, started together and stopped in order; a context manager.

    Their data stays in `data_dir` and is found again. `ports` are wishes: a port that is taken, or that is None,
    becomes any free one, and stays the same for the life of this object. After `start` each server is at hand by
    its name, or is None where it was not wanted; a fault test may `kill()` and `start()` it.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        kafka: bool = True,
        postgres: bool = True,
        redis: bool = True,
        ports: Ports | None = None,
        on_progress: Callable[[str], None] = lambda word: None,
        guard: Guard | None = None,
    ) -> None:
        self.data_dir = data_dir.resolve()
        self.kafka: Kafka | None = None
        self.zookeeper: ZooKeeper | None = None
        self.postgres: Postgres | None = None
        self.redis: Valkey | None = None
        self.addresses = Addresses()
        self._wanted = (kafka, postgres, redis)
        self._ports = ports or Ports()
        self._on_progress = on_progress
        self._guard = guard or Guard(self.data_dir)
        self._owns_guard = guard is None

    def __enter__(self) -> Servers:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def all(self) -> Sequence[Server]:
        """Those that were wanted, in the order of stopping: nobody loses a server that it still needs."""
        return [one for one in (self.kafka, self.zookeeper, self.redis, self.postgres) if one is not None]

    def start(self) -> Addresses:
        """Starts all at once and returns when each answers.

        Raises:
            LocalError: of which the family stands in `errors`; what had started is stopped again.
        """
        if self._owns_guard:
            open_guard(self._guard)
        try:
            if not self.all:
                self._make()
            self._start_all()
        except BaseException:
            self.stop()
            raise
        return self.addresses

    def stop(self) -> None:
        """Stops all that run, Kafka before ZooKeeper, the others beside them; bounded by their own limits."""
        with ThreadPoolExecutor(3) as pool:
            stopping = [pool.submit(one.stop) for one in (self.redis, self.postgres) if one is not None]
            for one in (self.kafka, self.zookeeper):
                if one is not None:
                    one.stop()
            for future in stopping:
                future.result()
        if self._owns_guard:
            self._guard.close()

    def cancel(self) -> None:
        """For good: lets a `start` that another thread is in end soon, with an error."""
        for one in self.all:
            one.cancel()

    def _make(self) -> None:
        kafka, postgres, redis = self._wanted
        taken: set[int] = set()

        def port(wished: int | None) -> int:
            chosen = choose(wished, taken=taken)
            taken.add(chosen)
            return chosen

        if kafka:
            cache = jars.cache_directory(self.data_dir)
            class_path = jars.ensure_jars(cache, self._on_progress)
            self.zookeeper = ZooKeeper(self.data_dir, port(self._ports.zookeeper), self._guard, class_path)
            self.kafka = Kafka(self.data_dir, port(self._ports.kafka), self._guard, class_path, self.zookeeper.port)
        if redis:
            self.redis = Valkey(self.data_dir, port(self._ports.redis), self._guard)
        if postgres:
            self.postgres = Postgres(
                self.data_dir,
                port(self._ports.postgres),
                self._guard,
                user="polling",
                password=_password(self.data_dir),
                database="polling",
            )
        self.addresses = Addresses(
            kafka=f"{HOST}:{self.kafka.port}" if self.kafka else None,
            zookeeper=f"{HOST}:{self.zookeeper.port}" if self.zookeeper else None,
            postgres=self.postgres.url if self.postgres else None,
            redis=f"redis://{HOST}:{self.redis.port}/0" if self.redis else None,
        )

    def _start_all(self) -> None:
        def begin(server: Server) -> None:
            self._on_progress(f"starting {server.name}")
            server.start()
            self._on_progress(f"{server.name} is ready on {HOST}:{server.port}")

        # Kafka waits for its ZooKeeper by itself: the two JVMs may as well start side by side.
        with ThreadPoolExecutor(4) as pool:
            starting = [pool.submit(begin, server) for server in self.all]
            try:
                wait(starting, return_when=FIRST_EXCEPTION)
                for future in starting:
                    if future.done():
                        future.result()
            except BaseException:
                self.cancel()
                raise


def open_guard(guard: Guard) -> None:
    """Takes the data directory.

    Raises:
        AlreadyRunning: somebody has it.
    """
    try:
        guard.open()
    except BlockingIOError as error:
        raise AlreadyRunning(f"already in use by process {error}") from error


def _password(data_dir: Path) -> str:
    """Made once, kept for this user's eyes only."""
    path = data_dir / "password"
    if not path.exists():
        write_privately(path, secrets.token_urlsafe(24) + "\n")
    return path.read_text(encoding="utf-8").strip()
