"""Celery over Kafka: a kombu channel. Sorts what is asked for into task queues (topics of a group) and broadcasts."""

# kombu's base classes are not annotated:
# mypy: allow-untyped-calls, allow-subclassing-any, allow-untyped-defs

from __future__ import annotations

import re
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from amqp.protocol import queue_declare_ok_t  # type: ignore[import-untyped]
from kombu.exceptions import ChannelError
from kombu.transport import virtual
from kombu.utils.uuid import uuid

from .delivery import Delivery
from .errors import BrokerUnavailable, PublishError, TopicError
from .qos import Message, QoS
from .tasks_consumer import TaskConsumer
from .topics import PartitionLag
from .wire import to_record

if TYPE_CHECKING:
    from .transport import Transport

#: Seconds until a message is sent again to a topic that was not there: Kafka may be taking its former self apart still.
_TOPIC_PAUSE = 0.05


class Channel(virtual.Channel):
    """A channel of one connection. Exchanges and bindings live in the connection's memory, as in all of kombu's
    virtual transports; queues bound to a lasting exchange are topics."""

    QoS = QoS
    Message = Message
    supports_fanout = True
    do_restore = False
    connection: Transport

    def __init__(self, connection: Transport, **kwargs: Any) -> None:
        super().__init__(connection, **kwargs)
        self._tasks: TaskConsumer | None = None
        self._task_queues: dict[str, str] = {}

    # ---- publishing

    def _inplace_augment_message(self, message: dict[str, Any], exchange: str, routing_key: str) -> None:
        """Kafka takes bytes as they are: no base64 over the body."""
        message["properties"]["delivery_tag"] = None
        message["properties"]["delivery_info"].update(exchange=exchange, routing_key=routing_key)

    def basic_publish(self, message: dict[str, Any], exchange: str, routing_key: str, **kwargs: Any) -> None:
        """Publish, and wait until Kafka has it (events aside, which nobody waits for). Raises PublishError."""
        self._inplace_augment_message(message, exchange, routing_key)
        if self._is_broadcast(exchange):
            self._publish_broadcast(message, exchange)
        elif exchange:
            self.typeof(exchange).deliver(message, exchange, routing_key, **kwargs)
        else:
            self._put(routing_key, message)

    def _put(self, queue: str, message: dict[str, Any], **_: Any) -> None:
        value, headers = to_record(message)
        key = (message.get("headers") or {}).get("kafka_key")
        encoded = None if key is None else str(key).encode()
        publisher, topics = self.connection.publisher, self.connection.topics
        deadline = monotonic() + publisher.timeout
        while True:
            try:
                publisher.publish(*topics.task(queue), value, headers, encoded)
                return
            except PublishError as error:
                if not error.topic_gone:
                    raise
                # Deleted meanwhile, or not yet known to a broker that has just come back: certainly not stored.
                if monotonic() > deadline:
                    raise
            sleep(_TOPIC_PAUSE)

    def _publish_broadcast(self, message: dict[str, Any], exchange: str) -> None:
        value, headers = to_record(message)
        publisher, topics = self.connection.publisher, self.connection.topics
        if self.typeof(exchange).type != "topic":
            publisher.publish(topics.broadcast(exchange), 1, value, headers, None)
            return
        try:
            publisher.broadcast(topics.broadcast(exchange), value, headers)
        except (BrokerUnavailable, TopicError) as error:
            # Raised, it would have Celery's heartbeat hold the whole worker until the broker is back.
            publisher.lost.add(str(error))

    def _is_broadcast(self, exchange: str) -> bool:
        if exchange in self.connection.options.broadcast_exchanges:
            return True
        known = self.state.exchanges.get(exchange)
        return known is not None and (known["type"] == "fanout" or not known["durable"])

    # ---- queues

    def queue_declare(self, queue: str = "", passive: bool = False, **kwargs: Any) -> queue_declare_ok_t:
        """Create the queue's topic where it is missing. The counts in the answer are 0: lag costs requests."""
        queue = queue or f"amq.gen-{uuid()}"
        if passive:
            if not self._has_queue(queue):
                raise ChannelError(f"NOT_FOUND - no queue {queue!r}", (50, 10), "Channel.queue_declare", "404")
        else:
            self._new_queue(queue, **kwargs)
        return queue_declare_ok_t(queue, 0, 0)

    def _has_queue(self, queue: str, **_: Any) -> bool:
        return self.connection.broadcasts_to(queue) or self.connection.topics.exists(queue)

    def _new_queue(self, queue: str, auto_delete: bool = False, exclusive: bool = False, **_: Any) -> None:
        if not (auto_delete or exclusive):
            self.connection.topics.task(queue)

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        """kombu's hook after each new binding."""
        if not self._is_broadcast(exchange):
            self.connection.topics.task(queue)
            return
        kind = self.typeof(exchange).type
        if kind == "fanout":
            taken = None
        elif kind == "topic":
            taken = re.compile(self.typeof(exchange).key_to_pattern(routing_key))
        else:
            taken = re.compile(re.escape(routing_key or "") + r"\Z")
        self.connection.bind_broadcast(queue, self.connection.topics.broadcast(exchange), taken)

    def queue_delete(self, queue: str, if_unused: bool = False, if_empty: bool = False, **_: Any) -> None:
        """Forget the bindings of a queue. Its topic stays: a worker must not throw away what others wait for."""
        for exchange, routing_key, arguments in list(self.state.queue_bindings(queue)):
            self.queue_unbind(queue, exchange, routing_key, arguments)
        self.state.queue_bindings_delete(queue)
        self.connection.unbind_broadcast(queue)

    def _size(self, queue: str) -> int:
        return sum(row.lag for row in self.lag(queue))

    def _purge(self, queue: str) -> int:
        return self.connection.topics.purge(queue)

    def lag(self, queue: str) -> list[PartitionLag]:
        """How far the workers are behind in a queue, a row for each partition."""
        return self.connection.topics.lag(queue)

    # ---- consuming

    def basic_consume(self, queue: str, no_ack: bool, callback: Any, consumer_tag: str, **kwargs: Any) -> None:
        """Deliver the queue's messages to `callback` from now on."""
        super().basic_consume(queue, no_ack, callback, consumer_tag, **kwargs)
        if self.connection.broadcasts_to(queue):
            self.connection.consume_broadcast(queue)
            return
        topic, _ = self.connection.topics.task(queue)
        if no_ack:
            self.connection.no_ack.add(queue)
        self._task_queues[topic] = queue
        if self._tasks is None:
            self._tasks = self.connection.task_consumer(self.qos.room)
        self._tasks.join(topic)

    def basic_cancel(self, consumer_tag: str) -> None:
        """Deliver no more. What is out may still be acknowledged; a broadcast queue is deleted with its consumer."""
        queue = self._tag_to_queue.get(consumer_tag)
        super().basic_cancel(consumer_tag)
        if queue is None or queue in self._active_queues:
            return
        if self.connection.broadcasts_to(queue):
            self.queue_delete(queue)
        elif self._tasks is not None:
            self._tasks.leave(self.connection.topics.name(queue))

    def basic_get(self, queue: str, no_ack: bool = False, **_: Any) -> None:
        """Not to be had: a group consumer takes seconds to join for a single message."""
        raise ChannelError("basic.get is not supported over Kafka: consume from the queue")

    def basic_qos(self, prefetch_size: int = 0, prefetch_count: int = 0, apply_global: bool = False) -> None:
        """Set the prefetch window."""
        super().basic_qos(prefetch_size, prefetch_count, apply_global)
        self._room_changed()

    def deliver(self) -> bool:
        """Hand one waiting task message to its consumer. Returns whether there was one. Raises ConsumerFailed."""
        tasks = self._tasks
        if tasks is None:
            return False
        tasks.check()
        if not self.qos.can_consume():
            return False
        delivery = tasks.next()
        if delivery is None:
            return False
        queue = self._task_queues[delivery.position.topic]
        self.connection.hand_over({**delivery.payload, "delivery": delivery}, queue)
        if queue in self.connection.no_ack:
            self.done(delivery)
        return True

    def done(self, delivery: Delivery) -> None:
        """A message was acknowledged."""
        if self._tasks is not None:
            self._tasks.done(delivery.position)
            self._room_changed()

    def requeue(self, delivery: Delivery) -> None:
        """A message was rejected, and wants to be delivered again."""
        if self._tasks is not None:
            self._tasks.requeue(delivery)
            self._room_changed()

    def _room_changed(self) -> None:
        if self._tasks is not None:
            self._tasks.wake()
            self.connection.bell.ring()

    def close(self) -> None:
        """Cancel the consumers, commit what is acknowledged and leave the group."""
        tasks, self._tasks = self._tasks, None
        if tasks is not None:
            tasks.stop()
        if not self.closed:
            super().close()
