"""Chaos: the faults: each has a name, what it touches, how it begins and how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import subprocess
import time
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import psycopg
import redis
from confluent_kafka import OFFSET_END, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from chaos.arena import PARTS, Arena
from chaos.launch import FAILPOINTS
from chaos.proxy import MODES, Mode
from chaos.readings import QUIET

CLOCK_OFF = 3600
QUEUE = "celery.votes-to-count"
DISK_MIB = {"kafka": 320, "postgres": 1536}
"""The sizes of the small disks that get full."""


class Fault(NamedTuple):
    """`touches` are parts, servers or links; two faults at a time touch different ones. `hold` is in seconds. `whole`:
    every replica must be in sync before it, for else the fault itself would lose what nobody could keep."""

    name: str
    touches: frozenset[str]
    begin: Callable[[], object]
    end: Callable[[], object]
    hold: tuple[float, float] = (2, 6)
    whole: bool = False


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
        self.unplayable: dict[str, str] = {}

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
            Fault("poison records", frozenset({"log"}), self._poison, _nothing, (0, 1)),
            Fault("rival bridge", frozenset({"bridge"}), self._rival, self._no_rival, (8, 15)),
            *(self._clock(name) for name in ("api-2", "worker-2", "bridge-2")),
            self._emptied(),
            self._full_disk("postgres"),
        ]
        if arena.brokers > 1:
            found += [
                self._full_disk("kafka-3"),
                self._erased("kafka-2"),
                self._too_few(),
                self._leader(),
                self._alone(),
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

    def _poison(self) -> None:
        """A thousand records that can never be counted, of every kind."""
        poll = self._poll()
        kinds: list[Callable[[int], bytes]] = [
            lambda number: b"not json %d" % number,
            lambda number: json.dumps({"poll": poll, "ballot": "ab", "option": "1", "at": number}).encode(),
            lambda number: json.dumps({"poll": "nobody", "ballot": uuid.uuid4().hex, "option": "1"}).encode(),
            lambda number: json.dumps({"poll": poll, "ballot": uuid.uuid4().hex, "option": "99"}).encode(),
            lambda number: json.dumps({"poll": "a\0b", "ballot": uuid.uuid4().hex, "option": "1"}).encode(),
        ]
        written: Counter[bytes] = Counter()

        def delivered(error: object, message: object) -> None:
            if error is None:
                written[message.value()] += 1  # type: ignore[attr-defined]

        settings = {"bootstrap.servers": self._arena.broker, "acks": "all", "message.timeout.ms": 10_000}
        producer = Producer(settings | QUIET)
        begun = self._chance.randrange(1 << 40)
        values = [kinds[number % len(kinds)](begun + number) for number in range(1000)]
        for value in values:
            self.poison[value] += 0  # known before it is there; what Kafka did not take need not be found
            producer.produce("votes", value, os.urandom(16), on_delivery=delivered)
        producer.flush(15)
        self.poison.update(written)

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
        """Only where the server's data lies on a small disk of its own (`small_disks`)."""
        filler = self._arena.server(server).data / "filler"

        def begin() -> None:
            with contextlib.suppress(OSError), filler.open("wb") as file:
                while True:
                    file.write(bytes(1 << 20))

        def end() -> None:
            filler.unlink(missing_ok=True)

        return Fault(f"disk full: {server}", frozenset({server}), begin, end, (5, 10))

    def _erased(self, broker: str) -> Fault:
        """One broker's disk is replaced by an empty one; the others have all that it had."""

        def begin() -> None:
            self._arena.kill(broker)
            logs = self._arena.server(broker).data / "logs"
            for entry in logs.iterdir():
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

        brokers = frozenset(kafka.name for kafka in self._arena.servers.kafkas)
        return Fault(f"disk erased: {broker}", brokers, begin, lambda: self._arena.bring_back(broker), (1, 4), True)

    def _too_few(self) -> Fault:
        """Two of three brokers are away: nothing may be written."""
        brokers = [kafka.name for kafka in self._arena.servers.kafkas]
        away = brokers[:2]
        return Fault(
            "read-only by min.insync.replicas",
            frozenset(brokers),
            lambda: self._arena.kill(*away),
            lambda: self._arena.bring_back(*away),
            (5, 9),
            True,
        )

    def _leader(self) -> Fault:
        """The broker that leads partition 0 of the votes."""
        fallen: list[str] = []

        def begin() -> None:
            fallen[:] = [self._arena.leader()]
            self._arena.kill(*fallen)

        brokers = frozenset(kafka.name for kafka in self._arena.servers.kafkas)
        return Fault("kill the leading broker", brokers, begin, lambda: self._arena.bring_back(*fallen), (2, 6))

    def _alone(self) -> Fault:
        """The leader's followers stand still for less than their ZooKeeper session, and then the leader dies: what it
        alone had is gone. So nobody may have been told that it was there."""
        fallen: list[str] = []

        def begin() -> None:
            leader = self._arena.leader()
            others = [kafka.name for kafka in self._arena.servers.kafkas if kafka.name != leader]
            fallen[:] = [leader]
            self._arena.freeze(*others)
            time.sleep(4)
            self._arena.kill(leader)
            self._arena.thaw(*others)

        brokers = frozenset(kafka.name for kafka in self._arena.servers.kafkas)
        back = lambda: self._arena.bring_back(*fallen)  # noqa: E731
        return Fault("the leader dies while its followers stand still", brokers, begin, back, (8, 10), True)

    def _database(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self._arena.database_url, autocommit=True, connect_timeout=5)


def small_disks(folder: Path, servers: dict[str, str]) -> list[Path]:
    """Mounts a small disk in memory for each server's data, by the server's name and its kind; what was mounted.

    Raises:
        OSError: this needs root, and the right to mount.
    """
    mounted: list[Path] = []
    for name, kind in servers.items():
        path = folder / name
        path.mkdir(parents=True)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB[kind]}m", "polling-chaos", str(path)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            unmount(mounted)
            raise OSError(done.stderr.strip())
        mounted.append(path)
    return mounted


def unmount(mounted: list[Path]) -> None:
    for path in mounted:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
