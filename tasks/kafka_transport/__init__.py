"""Celery over Kafka: a kombu transport that imports nothing of this project.

Importing the package makes the URL `kafkatasks://host:9092//` known to kombu and Celery. See `config.Options` for
all settings, and `celery_settings()` for those of Celery that keep every task through a kill.
"""

from __future__ import annotations

from kombu.transport import TRANSPORT_ALIASES

from .config import SCHEME, Options
from .errors import (
    BrokerUnavailable,
    ConsumerFailed,
    KafkaTransportError,
    MessageUndecodable,
    OptionError,
    PublishError,
    TopicError,
)
from .publisher import publish_batch

TRANSPORT_ALIASES[SCHEME] = f"{__name__}.transport:Transport"

__all__ = [
    "SCHEME",
    "BrokerUnavailable",
    "ConsumerFailed",
    "KafkaTransportError",
    "MessageUndecodable",
    "OptionError",
    "Options",
    "PublishError",
    "TopicError",
    "publish_batch",
]
