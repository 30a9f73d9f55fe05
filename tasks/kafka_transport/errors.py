"""Celery over Kafka: what can go wrong, as one family.

    KafkaTransportError
    ├── OptionError         a transport option or the broker URL makes no sense   (ValueError too)
    ├── BrokerUnavailable   no broker answered in time                             (ConnectionError too)
    ├── ConsumerFailed      a consumer ended for good; the worker must reconnect   (ConnectionError too)
    ├── TopicError          Kafka would not create, read or trim a topic           (ConnectionError too)
    ├── MessageUndecodable  a record that is no message of this transport
    └── PublishError        Kafka did not acknowledge a message                    (kombu OperationalError too)

Those that are a `ConnectionError` make Celery connect again. `PublishError` does not: librdkafka has already
tried for `publish_timeout` seconds, so the caller is told at once.
"""

from __future__ import annotations

from kombu.exceptions import OperationalError


class KafkaTransportError(Exception):
    """Anything this transport raises by itself."""


class OptionError(KafkaTransportError, ValueError):
    """A transport option or the broker URL makes no sense; the text names it."""


class BrokerUnavailable(KafkaTransportError, ConnectionError):
    """No broker answered within `connect_timeout` seconds."""


class ConsumerFailed(KafkaTransportError, ConnectionError):
    """A consumer ended for good (a fatal librdkafka error, or a fault in its thread)."""


class TopicError(KafkaTransportError, ConnectionError):
    """Kafka refused to create, describe or trim a topic."""


class MessageUndecodable(KafkaTransportError):
    """A record that this transport did not write, or that was damaged."""


class PublishError(KafkaTransportError, OperationalError):
    """Kafka did not acknowledge a message, so it may or may not be stored: sending it again may run it twice."""

    #: Whether the topic, or the partition, is no longer there.
    topic_gone = False
