"""Celery over Kafka: which messages a channel has out, and what an acknowledgement means."""

# kombu's base classes are not annotated:
# mypy: allow-untyped-calls, allow-subclassing-any, allow-untyped-defs

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kombu.transport import virtual

from .delivery import Delivery

if TYPE_CHECKING:
    from .channel import Channel

#: What the prefetch window is taken for where none is set.
_UNLIMITED = 1000


class Message(virtual.Message):
    """A message that knows the record it came from; `delivery` is None for a broadcast."""

    def __init__(self, payload: dict[str, Any], channel: Any = None, **kwargs: Any) -> None:
        self.delivery: Delivery | None = payload.pop("delivery", None)
        super().__init__(payload, channel=channel, **kwargs)


class QoS(virtual.QoS):
    """Counts the task messages that are out. Acknowledging writes memory only, so any thread may do it."""

    #: Kafka delivers again what was not committed, so nothing has to be restored.
    restore_at_shutdown = False
    channel: Channel

    def __init__(self, channel: Channel, prefetch_count: int = 0) -> None:
        super().__init__(channel, prefetch_count)
        self._on_collect.cancel()
        self._out: dict[str, Message] = {}

    def room(self) -> int:
        """How many more messages may be out."""
        return int((self.prefetch_count or _UNLIMITED) - len(self._out))

    def can_consume(self) -> bool:
        return self.room() > 0

    def can_consume_max_estimate(self) -> int:
        return max(self.room(), 0)

    def append(self, message: Message, delivery_tag: str) -> None:
        """Note a delivered message. Broadcasts are not counted: they are gone once read."""
        if message.delivery is not None:
            self._out[delivery_tag] = message

    def get(self, delivery_tag: str) -> Message:
        return self._out[delivery_tag]

    def ack(self, delivery_tag: str) -> None:
        """Finished. An unknown tag (acknowledged before, or a broadcast) changes nothing."""
        message = self._out.pop(delivery_tag, None)
        if message is not None and message.delivery is not None:
            self.channel.done(message.delivery)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Finished without success; with `requeue` the message goes to the tail of its queue first."""
        message = self._out.get(delivery_tag)
        if not requeue or message is None or message.delivery is None:
            self.ack(delivery_tag)
            return
        del self._out[delivery_tag]
        self.channel.requeue(message.delivery)

    def restore_unacked(self) -> list[Any]:
        """Send what is out back to the queues (`basic.recover`)."""
        for tag in list(self._out):
            self.reject(tag, requeue=True)
        return []

    def restore_unacked_once(self, stderr: Any = None) -> None:
        """Nothing to do: see `restore_at_shutdown`."""
