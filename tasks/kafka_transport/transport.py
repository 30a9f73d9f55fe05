"""Celery over Kafka: the kombu transport. One per connection; brings consumers, topics and Celery's loop together."""

# kombu's base classes are not annotated:
# mypy: allow-untyped-calls, allow-subclassing-any, allow-untyped-defs

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable
from time import monotonic
from typing import Any

import confluent_kafka
from kombu.transport import virtual

from . import handles
from .bell import Bell
from .broadcast import BroadcastReader
from .channel import Channel
from .config import Options
from .publisher import Publisher
from .tasks_consumer import TaskConsumer
from .topics import Topics

logger = logging.getLogger(__name__)

#: How many messages one turn of Celery's loop delivers before it looks at its other duties.
_AT_A_TIME = 100


class Transport(virtual.Transport):
    """Kafka as Celery sees it. It is used by one thread at a time, as every kombu connection is."""

    Channel = Channel
    driver_type = "kafka"
    driver_name = "confluent-kafka"
    #: The URL may name several brokers, which kombu's parser can't read.
    can_parse_url = True
    connection_errors = (ConnectionError,)
    recoverable_connection_errors = (ConnectionError,)
    recoverable_channel_errors = ()
    implements = virtual.Transport.implements.extend(
        asynchronous=True, exchange_type=frozenset(["direct", "topic", "fanout"]), heartbeats=False
    )

    def __init__(self, client: Any, **kwargs: Any) -> None:
        super().__init__(client, **kwargs)
        self.options = Options.read(client.hostname, client.transport_options)
        self._identity = repr(self.options)
        self._bell: Bell | None = None
        self.no_ack: set[str] = set()
        self._pid = os.getpid()
        self._broadcast: BroadcastReader | None = None
        self._topics: Topics | None = None
        self._loop: Any = None

    # ---- what a process has one of

    @property
    def publisher(self) -> Publisher:
        """The producer of this process, shared by all connections with the same settings."""
        options = self.options
        key = ("publisher", self._identity)
        return handles.shared(key, lambda: Publisher(options.producer(), options.publish_timeout))

    @property
    def topics(self) -> Topics:
        """The topics, as known in this process."""
        return handles.shared(("topics", self._identity), lambda: Topics(self.options, self.publisher))

    @property
    def bell(self) -> Bell:
        """What consumers ring. Made when needed: kombu makes many a transport only to look at its type."""
        if self._bell is None:
            self._bell = Bell()
        return self._bell

    # ---- connection

    def establish_connection(self) -> Transport:
        """Check that a broker answers. Raises BrokerUnavailable."""
        self.publisher.metadata(self.options.connect_timeout)
        self._avail_channels.append(self.create_channel(self))
        return self

    def close_connection(self, connection: Transport) -> None:
        """Close the channels, stop the consumers, take the bell out of Celery's loop.

        In a forked child nothing happens: consumers, and even the loop's epoll, are still the parent's.
        """
        if self._pid != os.getpid():
            return
        super().close_connection(connection)
        if self._broadcast is not None:
            self._broadcast.stop()
            self._broadcast = None
        self.unregister_from_event_loop(connection, self._loop)
        if self._bell is not None:
            self._bell.close()
            self._bell = None

    def _collect(self, connection: Transport | None) -> None:
        """kombu's way of dropping a connection after an error or a fork."""
        if connection is not None:
            self.close_connection(connection)

    def driver_version(self) -> str:
        return str(confluent_kafka.__version__)

    def as_uri(self, uri: str, include_password: bool = False, mask: str = "**") -> str:
        """The URL, which never holds a password."""
        return uri

    # ---- consumers

    def task_consumer(self, room: Callable[[], int]) -> TaskConsumer:
        """A running group consumer for one channel."""
        consumer = TaskConsumer(self.options, self.bell, self.topics, room)
        consumer.start()
        return consumer

    def bind_broadcast(self, queue: str, topic: str, pattern: re.Pattern[str] | None) -> None:
        """Collect a broadcast topic for a queue, from its present end."""
        if self._broadcast is None:
            self._broadcast = BroadcastReader(self.options, self.bell)
            self._broadcast.start()
        start = 0 if self._broadcast.reads(topic) else self.topics.end(topic)
        self._broadcast.bind(queue, topic, pattern, start)

    def unbind_broadcast(self, queue: str) -> None:
        """Stop collecting for a queue."""
        if self._broadcast is not None:
            self._broadcast.unbind(queue)

    def broadcasts_to(self, queue: str) -> bool:
        """Whether a queue is bound to a broadcast exchange."""
        return self._broadcast is not None and self._broadcast.bound(queue)

    def consume_broadcast(self, queue: str) -> None:
        """Begin to deliver a broadcast queue."""
        if self._broadcast is not None:
            self._broadcast.consume(queue)

    # ---- delivering

    def _deliver_one(self) -> bool:
        if self._broadcast is not None:
            self._broadcast.check()
            found = self._broadcast.next()
            if found is not None:
                queue, payload = found
                self.hand_over(payload, queue)
                return True
        return any(channel.deliver() for channel in list(self.channels))

    def hand_over(self, payload: dict[str, Any], queue: str) -> None:
        """Give a message to the consumer of its queue."""
        self._callbacks[queue](payload)

    def drain_events(self, connection: Any, timeout: float | None = None, **_: Any) -> None:
        """Deliver one message. Raises socket.timeout after `timeout` seconds (None: never) without one."""
        end = None if timeout is None else monotonic() + timeout
        while True:
            self.bell.hush()
            if self._deliver_one():
                return
            left = None if end is None else end - monotonic()
            if (left is not None and left <= 0) or not (self.bell.wait(left) or end is None):
                raise TimeoutError("no message")

    def register_with_event_loop(self, connection: Transport, loop: Any) -> None:
        """Have Celery's event loop deliver whenever the bell rings."""
        self._loop = loop
        loop.add_reader(self.bell.fileno(), self._on_bell)

    def unregister_from_event_loop(self, connection: Transport, loop: Any) -> None:
        """Undo `register_with_event_loop`."""
        if self._loop is not None:
            self._loop.remove(self.bell.fileno())
            self._loop = None

    def _on_bell(self) -> None:
        self.bell.hush()
        for _ in range(_AT_A_TIME):
            if not self._deliver_one():
                return
        self.bell.ring()
