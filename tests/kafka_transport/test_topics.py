"""Celery over Kafka: topics that are asked for before they are there."""

from __future__ import annotations

import pytest
from confluent_kafka.admin import AdminClient
from kombu import Connection

from tasks.kafka_transport.errors import TopicError

from .harness import Bench, wait_for


def test_a_topic_that_was_asked_for_too_early_is_found_as_soon_as_it_is_there(bench: Bench) -> None:
    """librdkafka would go on to say for 15 minutes that it is not, to a client that knew another topic before."""
    with Connection(bench.url, transport_options=bench.options) as connection:
        topics = connection.transport.topics
        assert topics.end(topics.broadcast("early")) == 0
        with pytest.raises(TopicError):
            topics.end(topics.name("late"))
        assert topics.end(topics.broadcast("late")) == 0


def test_a_broadcast_topic_that_was_lost_is_made_again(bench: Bench) -> None:
    """As after Kafka has lost its data: a worker that starts to listen again must not wait for it for ever."""
    with Connection(bench.url, transport_options=bench.options) as connection:
        topics = connection.transport.topics
        topic = topics.broadcast("lost")
        assert topics.end(topic) == 0
        admin = AdminClient({"bootstrap.servers": topics.options.bootstrap_servers})
        admin.delete_topics([topic])[topic].result(10)
        wait_for(lambda: topic not in admin.list_topics(timeout=10).topics, word="the topic deleted")

        def listens_again() -> bool:
            try:
                return topics.end(topics.broadcast("lost")) == 0 and topic in admin.list_topics(timeout=10).topics
            except TopicError:
                return False

        wait_for(listens_again, word="the topic made again")
