"""Celery over Kafka: topics that are asked for before they are there."""

from __future__ import annotations

import pytest
from kombu import Connection

from tasks.kafka_transport.errors import TopicError

from .harness import Bench


def test_a_topic_that_was_asked_for_too_early_is_found_as_soon_as_it_is_there(bench: Bench) -> None:
    """librdkafka would go on to say for 15 minutes that it is not, to a client that knew another topic before."""
    with Connection(bench.url, transport_options=bench.options) as connection:
        topics = connection.transport.topics
        assert topics.end(topics.broadcast("early")) == 0
        with pytest.raises(TopicError):
            topics.end(topics.name("late"))
        assert topics.end(topics.broadcast("late")) == 0
