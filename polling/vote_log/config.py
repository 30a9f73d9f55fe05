"""Step 2 of 7, log: names of topics, and settings of clients. Librdkafka's defaults are not safe for votes."""

from __future__ import annotations

import logging
import re
from typing import Any

VOTES_TOPIC = "votes"
"""Every vote, one record each, by ballot. Later generations are `votes.2`, `votes.3`, …."""

LATER_TOPIC = re.compile(re.escape(VOTES_TOPIC) + r"\.[1-9][0-9]*")
"""What the topics of later generations are called."""

DEAD_TOPIC = "votes.dead"
"""What could not be read, or names a poll that never was or an option that its poll lacks. At least once."""

BRIDGE_GROUP = "polling-bridge"
"""The bridge's consumer group. Its committed offsets show the lag; they decide nothing."""

ACK_SECONDS = 4.0
"""How long a record may wait for Kafka's word. The door answers within 5 s; librdkafka looks once a second."""


def topic_config(min_insync: int) -> dict[str, str]:
    """What every topic of votes is made with: kept for ever, stamped by the broker's own clock."""
    return {
        "message.timestamp.type": "LogAppendTime",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "cleanup.policy": "delete",
        "min.insync.replicas": str(min_insync),
        "unclean.leader.election.enable": "false",
    }


def _common() -> dict[str, Any]:
    """librdkafka's words go where all logs go, a broker that is away is not asked twenty times a second, and a topic
    that a starting broker did not know is looked for again in seconds; the default is 5 minutes."""
    return {
        "topic.metadata.refresh.interval.ms": 5000,
        "reconnect.backoff.ms": 250,
        "reconnect.backoff.max.ms": 1000,
        "log.connection.close": False,
        "log_level": 4,
        "logger": logging.getLogger("librdkafka"),
    }


def admin_config(broker: str) -> dict[str, Any]:
    """For questions about topics. Without the refresh a client goes on for 5 minutes to ask the broker that was the
    controller, after it has died."""
    return {
        "bootstrap.servers": broker,
        "log_level": 2,
        "reconnect.backoff.max.ms": 1000,
        "topic.metadata.refresh.interval.ms": 2000,
    }


def producer_config(broker: str) -> dict[str, Any]:
    """For votes: in order, without duplicates of our own making, acknowledged by every replica in sync."""
    return {
        "bootstrap.servers": broker,
        "acks": "all",
        "enable.idempotence": True,
        "partitioner": "murmur2_random",
        "message.timeout.ms": int(ACK_SECONDS * 1000),
        "linger.ms": 2,
        "batch.num.messages": 20_000,
        "compression.type": "lz4",
        "queue.buffering.max.messages": 200_000,
        "queue.buffering.max.kbytes": 131_072,
        "socket.keepalive.enable": True,
        **_common(),
    }


def consumer_config(broker: str, instance: str | None = None) -> dict[str, Any]:
    """For the bridge: it says itself where to read and what is done; nothing is committed or reset behind its back. A
    partition whose queue is full is fetched again after 20 ms: within the default second the queue would run empty.

    `instance` names this member for good (KIP-345), so that a restart takes its partitions back at once.
    """
    config: dict[str, Any] = {
        "bootstrap.servers": broker,
        "group.id": BRIDGE_GROUP,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "enable.partition.eof": True,
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": 6000,
        "heartbeat.interval.ms": 1000,
        "max.poll.interval.ms": 30_000,
        "fetch.wait.max.ms": 100,
        "fetch.error.backoff.ms": 100,
        "fetch.queue.backoff.ms": 20,
        "queued.max.messages.kbytes": 16_384,
        "queued.min.messages": 20_000,
        "allow.auto.create.topics": False,
        "isolation.level": "read_committed",
        **_common(),
    }
    if instance is not None:
        config["group.instance.id"] = instance
    return config
