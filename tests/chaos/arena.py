"""Chaos: the whole system, several of each part, each link through the proxy, and somebody who restarts what dies."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from confluent_kafka.admin import AdminClient
from support.system import System
from support.waiting import until

from chaos.proxy import Network
from chaos.readings import QUIET
from polling.local import ports
from polling.local.errors import LocalError
from polling.local.links import Links
from polling.local.server import Server
from polling.local.servers import Servers

LAUNCH = (sys.executable, "-P", "-m", "chaos.launch")
TESTS = Path(__file__).resolve().parents[1]
PARTS = ("worker", "worker-2", "bridge", "bridge-2", "api", "api-2", "beat")
DOORS = ("api", "api-2")
_KEEP_EVERY = 0.5

HEALING = 180.0
"""Seconds in which everything must be up again once nothing is broken any more."""


class Stage(System):
    """The system's parts, of which each can be launched with a fault of its own."""

    def __init__(self, servers: Servers, folder: Path, **variables: str) -> None:
        super().__init__(servers, folder, **variables)
        self.faults: dict[str, tuple[str, ...]] = {}
        self.variables["PYTHONPATH"] = str(TESTS)

    def words(self, alias: str) -> tuple[str, ...]:
        """What a part's command begins with."""
        return (*LAUNCH, *self.faults.get(alias, ()))


@dataclasses.dataclass(frozen=True)
class Death:
    """A part or server that ended although nobody had asked it to."""

    at: float
    name: str
    code: int | None
    words: str


class Arena:
    """A context manager. Parts and servers have names (`api-2`, `kafka-1`, `postgres`); what `kill` or `freeze` has
    felled stays so until `bring_back`, everything else that ends is started again and noted in `deaths`.

    `faults` are options of `chaos.launch` for parts, for good. `prepared` is called when the tables are there.
    """

    def __init__(
        self,
        folder: Path,
        *,
        brokers: int,
        seed: int,
        faults: Mapping[str, tuple[str, ...]] | None = None,
        prepared: Callable[[str], None] = lambda database_url: None,
    ) -> None:
        self.folder = folder
        self.brokers = brokers
        self.network = Network(seed)
        self.deaths: list[Death] = []
        self._faults = dict(faults or {})
        self._prepared = prepared
        self._taken: set[int] = set()
        self._felled: set[str] = set()
        self._frozen: set[str] = set()
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._reviving: dict[str, Future[None]] = {}
        self._pool = ThreadPoolExecutor(8, "revive")
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)

    def __enter__(self) -> Arena:
        with contextlib.ExitStack() as stack:
            stack.callback(self.network.close)
            self.servers = Servers(self.folder / "servers", brokers=self.brokers, links=self._links)
            stack.callback(self.servers.stop)
            self.servers.start()
            self._by_name = {server.name: server for server in self.servers.all}
            replicas = {"VOTES_REPLICATION": "3", "VOTES_MIN_INSYNC": "2"} if self.brokers > 1 else {}
            self.stage = Stage(self.servers, self.folder, NODE_NAME="chaos", VOTES_PARTITIONS="8", **replicas)
            stack.callback(self.stage.stop)
            self.stage.faults.update(self._faults)
            self._variables = {role: self._way_of(role) for role in ("worker", "bridge", "api", "beat")}
            self.stage.prepare()
            self._prepared(self.database_url)
            for name in PARTS:
                self._spawn(name)
            self.stage.until_ready(PARTS)
            stack.callback(self.thaw)
            self._keeper.start()
            stack.callback(self._stop_keeping)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    @property
    def broker(self) -> str:
        """Kafka's real addresses."""
        return ",".join(f"127.0.0.1:{kafka.port}" for kafka in self.servers.kafkas)

    @property
    def database_url(self) -> str:
        """PostgreSQL's real address."""
        return self.stage.settings.database_url

    def standing(self, name: str) -> int | None:
        """The process of a server or part that runs and that nobody felled."""
        with self._lock:
            return None if name in self._felled else self._pid(name)

    @property
    def doors(self) -> list[str]:
        """The URLs of the API processes."""
        return [self.stage.url_of(door) for door in DOORS]

    def server(self, name: str) -> Server:
        return self._by_name[name]

    @property
    def names(self) -> Iterable[str]:
        """All servers and parts."""
        return (*self._by_name, *PARTS)

    def kill(self, *names: str) -> None:
        """SIGKILL to the whole process group of each, as close together as can be."""
        with self._lock:
            self._felled |= set(names)
        for name in names:
            pid = self._pid(name)
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
        for name in names:
            (self._by_name[name].kill if name in self._by_name else lambda name=name: self.stage.kill(name))()  # type: ignore[misc]

    def bring_back(self, *names: str) -> None:
        """Lets them be started again, at once and all together; waits for none of them."""
        with self._lock:
            self._felled -= set(names)
        for name in names:
            self._revive_soon(name)

    def freeze(self, *names: str) -> None:
        """SIGSTOP: they stand still, and are not dead."""
        with self._lock:
            self._felled |= set(names)
            self._frozen |= set(names)
        for name in names:
            self._signal(name, signal.SIGSTOP)

    def thaw(self, *names: str) -> None:
        """SIGCONT, to all that are frozen where none is named."""
        with self._lock:
            chosen = set(names) or set(self._frozen)
            self._frozen -= chosen
            self._felled -= chosen
        for name in chosen:
            self._signal(name, signal.SIGCONT)

    def relaunch(self, name: str, *faults: str) -> None:
        """Kills a part and starts it with these options of `chaos.launch`; with none, as it is."""
        self.kill(name)
        self.stage.faults[name] = faults or self._faults.get(name, ())
        self.bring_back(name)

    def rival(self, name: str, alias: str) -> None:
        """Another process of a part, under the same lasting name; nobody restarts it."""
        self._spawn(name, under=alias)

    def leader(self) -> str:
        """The broker that leads the first partition of the votes."""
        admin = AdminClient({"bootstrap.servers": self.broker, **QUIET})
        topic = admin.list_topics("votes", timeout=20).topics["votes"]
        return f"kafka-{topic.partitions[0].leader}"

    def in_sync(self) -> bool:
        """Whether every replica of every partition has all that the leader has."""
        admin = AdminClient({"bootstrap.servers": self.broker, **QUIET})
        topics = admin.list_topics(timeout=20).topics.values()
        return all(len(part.isrs) == len(part.replicas) for topic in topics for part in topic.partitions.values())

    def heal(self) -> None:
        """Everything runs, and every link is open."""
        self.network.heal()
        self.thaw()
        for name in list(self.stage.faults):
            if self.stage.faults[name] != self._faults.get(name, ()):
                self.relaunch(name)
        self.bring_back(*self.names)
        for name in self.names:
            until(lambda name=name: self._alive(name), f"{name} runs", HEALING)  # type: ignore[misc]
        for server in self.servers.all:
            until(server.answers, f"{server.name} answers", HEALING)
        for name in PARTS:
            self._wait_until_ready(name)

    def _wait_until_ready(self, name: str) -> None:
        """Where it has just ended the keeper starts it again, so that this is no error yet."""
        deadline = time.monotonic() + HEALING
        while True:
            # It may end between the two questions, and then the second one fails.
            with contextlib.suppress(AssertionError):
                if self.stage.alive(name) and self.stage.is_ready(name):
                    return
            if time.monotonic() > deadline:
                with self.stage.client_of(name) as client:
                    raise AssertionError(f"{name} is not ready within {HEALING:g} s: {client.get('/readyz')}")
            time.sleep(0.2)

    def _alive(self, name: str) -> bool:
        return self._pid(name) is not None

    def _pid(self, name: str) -> int | None:
        if name in self._by_name:
            return self._by_name[name].pid
        return self.stage.pid(name) if self.stage.alive(name) else None

    def _signal(self, name: str, number: int) -> None:
        pid = self._pid(name)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, number)

    def _spawn(self, name: str, under: str | None = None) -> None:
        role = name.partition("-")[0]
        options = ("--concurrency", "1") if role == "worker" else None
        variables = self._variables[role] | {"NODE_NAME": f"chaos-{name}"}
        self.stage.spawn(role, under=under or name, options=options, **variables)

    def _keep(self) -> None:
        while not self._ended.wait(_KEEP_EVERY):
            for name in self.names:
                with self._lock:
                    if name in self._felled or name in self._reviving or self._alive(name):
                        continue
                    code, words = self._last(name)
                    self.deaths.append(Death(time.monotonic(), name, code, words))
                self._revive_soon(name)

    def _revive_soon(self, name: str) -> None:
        def revive() -> None:
            try:
                if not self._alive(name):
                    (self._by_name[name].start if name in self._by_name else lambda: self._spawn(name))()
            except LocalError as error:  # the keeper tries again in a moment
                self.deaths.append(Death(time.monotonic(), name, None, str(error)))
            finally:
                with self._lock:
                    del self._reviving[name]

        with self._lock:
            if name not in self._reviving:
                self._reviving[name] = self._pool.submit(revive)

    def _last(self, name: str) -> tuple[int | None, str]:
        server = self._by_name.get(name)
        if server is not None:
            return server.exit_code, f"see {server.log}"
        process = self.stage.process(name)
        return process.exit_code, process.last_words()

    def _stop_keeping(self) -> None:
        self._ended.set()
        self._keeper.join(10)
        self._pool.shutdown()

    def _links(self, real: Mapping[str, int]) -> Links:
        """A link for each port by which Kafka and ZooKeeper are come to."""
        told = {}
        for name, port in real.items():
            if name.startswith(("kafka", "zookeeper")):
                told[name] = self._port(real.values())
                self.network.add(f"to {name}", told[name], port)
        return Links(ports=told)

    def _way_of(self, role: str) -> dict[str, str]:
        """The variables that lead a part to PostgreSQL and Redis by links of its own."""
        way = {}
        for server, variable in (("postgres", "DB_PORT"), ("redis", "REDIS_URL")):
            target = self._by_name["valkey" if server == "redis" else "postgres"].port
            port = self._port(())
            self.network.add(f"{role} to {server}", port, target)
            way[variable] = str(port) if server == "postgres" else f"redis://127.0.0.1:{port}/0"
        return way

    def _port(self, besides: Iterable[int]) -> int:
        self._taken |= set(besides)
        port = ports.choose(taken=self._taken)
        self._taken.add(port)
        return port
