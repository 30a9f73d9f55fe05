"""The embedded stack: PostgreSQL, Valkey, ZooKeeper and Kafka together, for `polling up` and for the tests."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from types import TracebackType

from polling.local import jars
from polling.local.addresses import HOST, Addresses, Ports, environment, write_privately
from polling.local.brokers import check_data, make, port_names
from polling.local.errors import AlreadyRunning, Cancelled, ServerFailed
from polling.local.guard import Guard
from polling.local.kafka import Kafka
from polling.local.links import LinkMaker, Links, Ways, straight
from polling.local.ports import choose
from polling.local.postgres import Postgres
from polling.local.server import Server
from polling.local.valkey import Valkey
from polling.local.zookeeper import ZooKeeper

__all__ = ["Addresses", "Links", "Ports", "Servers", "environment"]


class Servers:
    """Real servers, started together and stopped in order; a context manager.

    Their data stays in `data_dir` and is found again; a directory of it may be a disk of its own, empty at first.
    `ports` are wishes: a port that is taken, or that is None, becomes any free one, and stays the same for the life
    of this object. `brokers` is 1, or 3 for a cluster with a ZooKeeper ensemble of three. `links` is asked, before
    anything starts, at which ports the servers shall be told to find each other. After `start` each server is at
    hand by its name (of a cluster's the first), or is None where it was not wanted; a fault test may `kill()` and
    `start()` it.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        kafka: bool = True,
        postgres: bool = True,
        redis: bool = True,
        brokers: int = 1,
        ports: Ports | None = None,
        links: LinkMaker = straight,
        on_progress: Callable[[str], None] = lambda word: None,
        guard: Guard | None = None,
    ) -> None:
        self.data_dir = data_dir.resolve()
        self.kafkas: list[Kafka] = []
        self.zookeepers: list[ZooKeeper] = []
        self.postgres: Postgres | None = None
        self.redis: Valkey | None = None
        self.addresses = Addresses()
        wanted = {"redis": redis, "postgres": postgres}
        self._names = [*(port_names(brokers) if kafka else ()), *(name for name in wanted if wanted[name])]
        self._brokers = brokers if kafka else 0
        self._ports = ports or Ports()
        self._links = links
        self._on_progress = on_progress
        self._guard = guard or Guard(self.data_dir)
        self._owns_guard = guard is None
        self._cancelled = threading.Event()

    def __enter__(self) -> Servers:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def kafka(self) -> Kafka | None:
        """The broker; of a cluster the first."""
        return self.kafkas[0] if self.kafkas else None

    @property
    def zookeeper(self) -> ZooKeeper | None:
        """ZooKeeper; of an ensemble the first."""
        return self.zookeepers[0] if self.zookeepers else None

    @property
    def all(self) -> Sequence[Server]:
        """Those that were wanted, in the order of stopping: nobody loses a server that it still needs."""
        others = [one for one in (self.redis, self.postgres) if one is not None]
        return [*self.kafkas, *self.zookeepers, *others]

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
        with ThreadPoolExecutor(max(1, len(self.all))) as pool:
            stopping = [pool.submit(one.stop) for one in (self.redis, self.postgres) if one is not None]
            for together in (self.kafkas, self.zookeepers):
                for future in [pool.submit(one.stop) for one in together]:
                    future.result()
            for future in stopping:
                future.result()
        if self._owns_guard:
            self._guard.close()

    def cancel(self) -> None:
        """For good: lets a `start` that another thread is in end soon, with an error."""
        self._cancelled.set()
        for one in self.all:
            one.cancel()

    def _make(self) -> None:
        if self._brokers:
            check_data(self._brokers, self.data_dir)
        real: dict[str, int] = {}
        for name in self._names:
            real[name] = choose(self._ports.wished(name), taken=real.values())
        ways = Ways(real, self._links(dict(real)))
        if self._brokers:
            cache = jars.cache_directory(self.data_dir)
            class_path = jars.ensure_jars(cache, self._on_progress)
            self.kafkas, self.zookeepers = make(self._brokers, self.data_dir, self._guard, class_path, ways)
        if "redis" in real:
            self.redis = Valkey(self.data_dir, real["redis"], self._guard)
        if "postgres" in real:
            self.postgres = Postgres(
                self.data_dir,
                real["postgres"],
                self._guard,
                user="polling",
                password=_password(self.data_dir),
                database="polling",
            )
        self.addresses = Addresses(
            kafka=",".join(f"{HOST}:{ways.to(one.name)}" for one in self.kafkas) or None,
            zookeeper=",".join(f"{HOST}:{ways.to(one.name)}" for one in self.zookeepers) or None,
            postgres=self.postgres.url_at(ways.to("postgres")) if self.postgres else None,
            redis=f"redis://{HOST}:{ways.to('redis')}/0" if self.redis else None,
        )

    def _start_all(self) -> None:
        def begin(server: Server) -> None:
            self._on_progress(f"starting {server.name}")
            server.start()
            self._on_progress(f"{server.name} is ready on {HOST}:{server.port}")

        # Kafka waits for its ZooKeeper by itself: the JVMs may as well start side by side.
        with ThreadPoolExecutor(max(1, len(self.all))) as pool:
            starting = [pool.submit(begin, server) for server in self.all]
            try:
                wait(starting, return_when=FIRST_EXCEPTION)
                for future in starting:
                    if future.done():
                        future.result()
            except BaseException:
                self.cancel()
                raise
        self._until_whole()

    def _until_whole(self) -> None:
        """Waits until each broker knows all the others, so that topics can be made with a copy on each."""
        everybody = {one.broker_id for one in self.kafkas}
        deadline = time.monotonic() + Server.start_limit
        for one in self.kafkas:
            while (known := one.known()) is None or known.brokers != everybody:
                if self._cancelled.wait(0.1):
                    raise Cancelled(f"{one.name}: stopped before it knew the other brokers.")
                if time.monotonic() > deadline:
                    seen = sorted(known.brokers) if known else "none"
                    raise ServerFailed(
                        f"{one.name} knows of brokers {seen}, not of all {len(everybody)} (see {one.log})"
                    )


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
