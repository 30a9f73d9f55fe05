"""Celery over Kafka: every option there is, documented once.

They go into Celery's `broker_transport_options` (kombu: `transport_options`). An unknown option is refused by name.
The brokers are in the URL: `kafkatasks://one:9092,two:9092//`; the port defaults to 9092.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from .errors import OptionError

#: The URL's scheme, and the transport's name in kombu.
SCHEME = "kafkatasks"

#: What kombu and Celery themselves put among the transport options.
_OF_KOMBU = frozenset(
    {"max_retries", "interval_start", "interval_step", "interval_max", "connect_retries_timeout", "errback"}
    | {"callback", "retry_errors", "body_encoding", "polling_interval", "deadletter_queue", "client_properties"}
)

#: Records of a task queue are needed until they are acknowledged. A day is how long a backlog may wait; segments are
#: small because Kafka deletes whole segments only.
_TASK_TOPIC = {"retention.ms": "86400000", "segment.ms": "600000", "segment.bytes": "67108864"}
#: Broadcasts are read from the end: minutes are plenty.
_BROADCAST_TOPIC = {"retention.ms": "600000", "segment.ms": "300000", "segment.bytes": "16777216"}


@dataclass(frozen=True, slots=True)
class Options:
    """The transport's settings; times are in seconds unless the name says otherwise."""

    #: Brokers, comma separated, for reading and writing alike; from the URL.
    bootstrap_servers: str = "localhost:9092"
    #: Put before every topic's name. Topics are named like queues and exchanges; other characters become `_`.
    topic_prefix: str = ""
    #: The consumer group of all workers. Keep it stable: a new one replays what is still in the topics.
    group_id: str = "celery"
    #: Unique for each worker node. With it a restarted worker takes its partitions back at once; without it they
    #: wait for `session_timeout` after a kill.
    group_instance_id: str | None = None
    #: Partitions of a task queue's topic: at least as many as there are worker nodes.
    partitions: int = 8
    #: 1 for a single broker, 3 for a cluster.
    replication_factor: int = 1
    #: Settings of a task queue's topic, beyond the default ones (a day's retention, small segments). `retention.ms`
    #: must be longer than the longest backlog and the longest countdown.
    topic_config: Mapping[str, str] = field(default_factory=dict)
    #: For single queues: {"votes": {"partitions": 16, "config": {"retention.ms": "3600000"}}}.
    queues: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    #: Settings of the broadcast topics (events, remote control and its replies).
    broadcast_config: Mapping[str, str] = field(default_factory=dict)
    #: Exchanges that are broadcasts though their type does not say so.
    broadcast_exchanges: tuple[str, ...] = ("celeryev",)
    #: How long a publish may try before it raises PublishError.
    publish_timeout: float = 5.0
    #: How long to wait for the first answer of a broker before raising BrokerUnavailable.
    connect_timeout: float = 4.0
    #: How often finished offsets are committed: what is finished but not committed runs again after a kill.
    commit_interval: float = 0.25
    #: After how long without a heartbeat the group gives a worker's partitions away.
    session_timeout: float = 10.0
    #: How often finished records are deleted from task topics; 0 leaves that to `retention.ms`. It keeps a busy queue's
    #: disk small, and needs the permission to delete records where the cluster asks for one.
    trim_interval: float = 60.0
    #: With all prefetched tasks unfinished for this long the partitions are paused and the group is kept informed.
    stall_after: float = 1.0
    #: How many broadcast messages wait for a reader before the oldest is dropped (with a warning).
    broadcast_backlog: int = 50_000
    #: librdkafka settings for all clients (TLS and SASL go here), for producers and for consumers.
    common_config: Mapping[str, Any] = field(default_factory=dict)
    producer_config: Mapping[str, Any] = field(default_factory=dict)
    consumer_config: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, url: str | None, given: Mapping[str, Any]) -> Self:
        """Take the options of a kombu connection. Raises OptionError for an unknown one or a malformed URL."""
        known = {f.name for f in fields(cls)} - {"bootstrap_servers"}
        unknown = sorted(set(given) - known - _OF_KOMBU)
        if unknown:
            raise OptionError(f"unknown transport option {', '.join(unknown)}; known are {', '.join(sorted(known))}")
        chosen = {name: value for name, value in given.items() if name in known}
        options = cls(bootstrap_servers=bootstrap_servers(url), **chosen)
        if options.partitions < 1:
            raise OptionError(f"partitions must be at least 1, not {options.partitions}")
        return options

    def client(self) -> dict[str, Any]:
        """librdkafka settings that every client has."""
        return {
            "bootstrap.servers": self.bootstrap_servers,
            "log.connection.close": False,
            # What goes wrong is raised, or logged by the consumers: without a thread that polls, as a producer is,
            # librdkafka's log lines would either pile up or go to stderr past Python's logging.
            "log_level": 0,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 1000,
            # A topic that was not there yet when it was subscribed to is looked for again; the default is 5 minutes.
            "topic.metadata.refresh.interval.ms": 5000,
            **self.common_config,
        }

    def producer(self) -> dict[str, Any]:
        """librdkafka settings of the producer.

        Idempotence is off: it costs a process's first publish half a second and more, and all it saves is that a task
        may run twice, which tasks under `acks_late` have to bear anyway.
        """
        return {
            **self.client(),
            "acks": "all",
            "enable.idempotence": False,
            "linger.ms": 0,
            "compression.type": "lz4",
            "message.timeout.ms": round(self.publish_timeout * 1000),
            "retry.backoff.max.ms": 500,
            # After so long without a topic it counts as deleted, and is made again; the default would be 30 s.
            "topic.metadata.propagation.max.ms": 2000,
            **self.producer_config,
        }

    def consumer(self) -> dict[str, Any]:
        """librdkafka settings of the group consumer. Nothing is stored that the transport did not store itself."""
        instance = {"group.instance.id": self.group_instance_id} if self.group_instance_id else {}
        return {
            **self.client(),
            "log_level": 6,
            **instance,
            "group.id": self.group_id,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": True,
            "enable.auto.offset.store": False,
            "auto.commit.interval.ms": round(self.commit_interval * 1000),
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": round(self.session_timeout * 1000),
            "heartbeat.interval.ms": 1000,
            "fetch.wait.max.ms": 100,
            "queued.max.messages.kbytes": 16384,
            **self.consumer_config,
        }

    def broadcast_reader(self) -> dict[str, Any]:
        """librdkafka settings of the broadcast consumer; it joins no group, and the group id is a formality."""
        return {
            **self.client(),
            "log_level": 6,
            "group.id": f"{self.group_id}-broadcast",
            "auto.offset.reset": "latest",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "fetch.wait.max.ms": 100,
            "queued.max.messages.kbytes": 16384,
        }

    def task_topic(self, queue: str) -> tuple[int, dict[str, str]]:
        """(partitions, topic settings) of a task queue."""
        own = self.queues.get(queue, {})
        config = {**_TASK_TOPIC, **self.topic_config, **own.get("config", {})}
        return int(own.get("partitions", self.partitions)), config

    def broadcast_topic(self) -> tuple[int, dict[str, str]]:
        """(partitions, topic settings) of a broadcast exchange: one partition, so that events keep their order."""
        return 1, {**_BROADCAST_TOPIC, **self.broadcast_config}


def bootstrap_servers(url: str | None) -> str:
    """`kafkatasks://one:9092,two//` → `one:9092,two:9092`. Raises OptionError where the URL is malformed."""
    hosts = (url or "").partition("://")[2].partition("/")[0]
    if "@" in hosts:
        raise OptionError("no user in the URL: SASL belongs into the transport option common_config")
    servers = []
    for host in filter(None, (part.strip() for part in hosts.split(","))):
        name, colon, port = host.rpartition(":")
        if not colon or host.endswith("]"):
            name, port = host, "9092"
        if not name or not port.isdigit():
            raise OptionError(f"malformed broker {host!r} in the URL")
        servers.append(f"{name}:{port}")
    return ",".join(servers) or "localhost:9092"
