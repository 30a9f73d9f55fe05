"""The cluster's tests: who leads, who has copies, and how long the voters had to wait."""

from __future__ import annotations

import threading
import time
from collections import Counter
from types import TracebackType

from confluent_kafka.admin import AdminClient, ConfigResource, PartitionMetadata, ResourceType
from support.load import Load
from support.waiting import until

from polling.local.kafka import Kafka
from polling.local.servers import Servers
from polling.local.zookeeper import ZooKeeper

PATIENCE = 30.0
"""Seconds that Kafka may take to answer."""


class Cluster:
    """Three brokers and three nodes, looked at from outside."""

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.admin = AdminClient({"bootstrap.servers": servers.addresses.kafka, "log_level": 0})

    def broker(self, number: int) -> Kafka:
        """The one with this id."""
        return next(one for one in self.servers.kafkas if one.broker_id == number)

    def partitions(self) -> dict[str, list[PartitionMetadata]]:
        """Of every topic, Kafka's own included."""
        topics = self.admin.list_topics(timeout=PATIENCE).topics
        return {name: list(topic.partitions.values()) for name, topic in topics.items()}

    def by_leadership(self) -> list[Kafka]:
        """The brokers that live; who leads most partitions of the vote log is first."""
        leads = Counter(one.leader for one in self.partitions()["votes"])
        alive = [one for one in self.servers.kafkas if one.alive()]
        return sorted(alive, key=lambda one: -leads[one.broker_id])

    def controller(self) -> Kafka:
        """The broker that is the controller."""
        known = until(lambda: next(one.known() for one in self.servers.kafkas if one.alive()), "a broker answers")
        assert known is not None
        return self.broker(known.controller)

    def leader_of_the_ensemble(self) -> ZooKeeper:
        """The ZooKeeper node that leads."""
        leader = until(
            lambda: next((one for one in self.servers.zookeepers if one.mode() == "leader"), None), "there is a leader"
        )
        assert leader is not None
        return leader

    def until_whole(self) -> None:
        """Waits until every node serves, and every partition has three copies in sync."""
        until(lambda: all(one.mode() for one in self.servers.zookeepers), "every ZooKeeper node serves")
        until(lambda: not self.missing(), "every partition has three copies in sync")

    def missing(self) -> dict[str, list[int]]:
        """The partitions that have fewer than three copies in sync, by topic."""
        lacking = {
            topic: [one.id for one in partitions if len(one.isrs) < 3]
            for topic, partitions in self.partitions().items()
        }
        return {topic: partitions for topic, partitions in lacking.items() if partitions}

    def setting(self, topic: str, name: str) -> str:
        """A topic's setting, as it is in force."""
        asked = ConfigResource(ResourceType.TOPIC, topic)
        found = self.admin.describe_configs([asked])[asked].result(PATIENCE)
        return str(found[name].value)


class Pauses:
    """Looks at a load while it runs: `longest` is the seconds between two acknowledged votes at most."""

    def __init__(self, load: Load) -> None:
        self.longest = 0.0
        self._load = load
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Pauses:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        total, since = self._load.total, time.monotonic()
        while not self._ended.wait(0.02):
            now = time.monotonic()
            self.longest = max(self.longest, now - since)
            if self._load.total != total:
                total, since = self._load.total, now
