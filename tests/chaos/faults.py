"""Chaos: the faults: each has a name, what it touches, how it begins and how it ends."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable

import psycopg
import redis
from confluent_kafka import OFFSET_END, TopicPartition
from confluent_kafka.admin import AdminClient

from chaos import brokers, disks, poison
from chaos.arena import PARTS, Arena
from chaos.fault import Fault
from chaos.launch import FAILPOINTS
from chaos.proxy import MODES, Mode
from chaos.readings import QUIET

CLOCK_OFF = 3600
QUEUE = "celery.votes-to-count"


def _nothing() -> None:
    pass


class Catalogue:
    """All faults that this arena can play. `poison` counts the bad records that were written."""

    def __init__(self, arena: Arena, seed: int, freeze: float, poll: Callable[[], str]) -> None:
        self._arena = arena
        self._chance = random.Random(f"{seed} faults")
        self._freeze = freeze
        self._poll = poll
        self.poison: Counter[bytes] = Counter()

    def all(self) -> list[Fault]:
        """Every fault, one by one."""
        arena = self._arena
        servers = [server.name for server in arena.servers.all]
        found = [self._killed(name) for name in (*PARTS, *servers)]
        found += [self._frozen(name) for name in (*PARTS, *servers)]
        found += [self._linked(name, mode) for name in arena.network.links for mode in MODES]
        found += [self._failpoint(name) for name in FAILPOINTS]
        found += [
            self._inserting(),
            Fault("FLUSHALL", frozenset({"valkey"}), self._flush, _nothing, (0, 1)),
            Fault("poison records", frozenset({"log"}), self._write_poison, _nothing, (0, 1)),
            Fault("rival bridge", frozenset({"bridge"}), self._rival, self._no_rival, (8, 15)),
            *(self._clock(name) for name in ("api-2", "worker-2", "bridge-2")),
            self._emptied(),
            self._full_disk("postgres"),
        ]
        if arena.brokers > 1:
            found += [
                self._full_disk("kafka-3"),
                brokers.erased(arena, "kafka-2"),
                brokers.too_few(arena),
                brokers.leader_killed(arena),
                brokers.leader_alone(arena),
            ]
        return found

    def everything(self) -> Fault:
        """All processes killed at once."""
        names = tuple(self._arena.names)
        return Fault(
            "kill everything",
            frozenset({*names, *self._arena.network.links, "log"}),
            lambda: self._arena.kill(*names),
            lambda: self._arena.bring_back(*names),
            (1, 2),
        )

    def _killed(self, name: str) -> Fault:
        return Fault(
            f"kill {name}",
            frozenset({name}),
            lambda: self._arena.kill(name),
            lambda: self._arena.bring_back(name),
            (0, 5),
        )

    def _frozen(self, name: str) -> Fault:
        hold = (self._freeze, self._freeze)
        return Fault(
            f"freeze {name}",
            frozenset({name}),
            lambda: self._arena.freeze(name),
            lambda: self._arena.thaw(name),
            hold,
        )

    def _linked(self, name: str, mode: Mode) -> Fault:
        network = self._arena.network
        ends = {name, name.rpartition(" ")[2].removesuffix("-peer").removesuffix("-quorum").removesuffix("-election")}
        return Fault(
            f"{mode}: {name}",
            frozenset(ends),
            lambda: network.turn(name, mode),
            lambda: network.turn(name, "open"),
            (3, 10),
        )

    def _failpoint(self, name: str) -> Fault:
        part = {"taken": "worker", "committed": "worker", "told": "worker", "acknowledged": "api"}.get(
            name.partition("-")[0], "bridge"
        )
        likelihood = 0.005 if part == "api" else 0.05
        return Fault(
            f"die at {name}",
            frozenset({part}),
            lambda: self._arena.relaunch(part, f"--failpoint={name}:{likelihood}"),
            lambda: self._arena.relaunch(part),
            (8, 15),
        )

    def _inserting(self) -> Fault:
        """Between insert and commit: the statement sleeps with its rows inserted, and its backend is ended there."""

        def begin() -> None:
            with self._database() as connection:
                connection.execute(
                    "CREATE OR REPLACE FUNCTION chaos_sleep() RETURNS trigger LANGUAGE plpgsql AS"
                    " $$ BEGIN PERFORM pg_sleep(random() * 0.4); RETURN NULL; END $$"
                )
                connection.execute(
                    "CREATE OR REPLACE TRIGGER chaos_sleep AFTER INSERT ON covered"
                    " FOR EACH STATEMENT EXECUTE FUNCTION chaos_sleep()"
                )
            for _ in range(10):
                time.sleep(0.3)
                with self._database() as connection:
                    connection.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep' LIMIT 1"
                    )
            self._arena.kill("worker")
            self._arena.bring_back("worker")

        def end() -> None:
            with self._database() as connection:
                connection.execute("DROP TRIGGER IF EXISTS chaos_sleep ON covered")

        return Fault("die between insert and commit", frozenset({"worker", "postgres"}), begin, end, (0, 2))

    def _emptied(self) -> Fault:
        """The queue between bridge and workers loses all that waits in it."""
        workers = tuple(part for part in PARTS if part.startswith("worker"))

        def begin() -> None:
            self._arena.kill(*workers)
            time.sleep(2)
            admin = AdminClient({"bootstrap.servers": self._arena.broker, **QUIET})
            topic = admin.list_topics(timeout=10).topics[QUEUE]
            ends = [TopicPartition(QUEUE, partition, OFFSET_END) for partition in topic.partitions]
            for future in admin.delete_records(ends).values():
                future.result(20)

        return Fault(
            "queue emptied", frozenset({*workers, "log"}), begin, lambda: self._arena.bring_back(*workers), (0, 1)
        )

    def _flush(self) -> None:
        with redis.Redis(port=self._arena.server("valkey").port) as client:
            client.flushall()

    def _write_poison(self) -> None:
        poison.write(self._arena.broker, self._poll(), self.poison)

    def _rival(self) -> None:
        """Another bridge under the same lasting name: each thinks that it is the one."""
        self._arena.rival("bridge", "bridge-rival")

    def _no_rival(self) -> None:
        self._arena.stage.kill("bridge-rival")

    def _clock(self, part: str) -> Fault:
        off = self._chance.choice((-CLOCK_OFF, CLOCK_OFF))
        return Fault(
            f"clock of {part} {off:+} s",
            frozenset({part}),
            lambda: self._arena.relaunch(part, f"--clock={off}"),
            lambda: self._arena.relaunch(part),
            (8, 15),
        )

    def _full_disk(self, server: str) -> Fault:
        """Only where the server's data lies on a small disk of its own."""
        filler = self._arena.server(server).data / "filler"
        return Fault(
            f"disk full: {server}",
            frozenset({server}),
            lambda: disks.fill(filler),
            lambda: filler.unlink(missing_ok=True),
            (5, 10),
        )

    def _database(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self._arena.database_url, autocommit=True, connect_timeout=5)
