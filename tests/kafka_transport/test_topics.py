"""Celery over Kafka: topics that are asked for before they are there."""

from __future__ import annotations

import pytest
from confluent_kafka.admin import AdminClient
from kombu import Connection, Exchange

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


def test_the_topic_of_events_that_was_lost_is_made_again(bench: Bench) -> None:
    """Nobody waits for an event, so nobody is told that its topic is gone: the next event has to find out."""
    with Connection(bench.url, transport_options=bench.options) as connection:
        producer = connection.Producer(exchange=Exchange("celeryev", type="topic"), serializer="json")
        producer.publish({"n": 1}, routing_key="task.sent")
        topic = connection.transport.topics.name("celeryev")
        admin = AdminClient({"bootstrap.servers": connection.transport.options.bootstrap_servers})
        wait_for(lambda: topic in admin.list_topics(timeout=10).topics, word="the topic there")
        admin.delete_topics([topic])[topic].result(10)
        wait_for(lambda: topic not in admin.list_topics(timeout=10).topics, word="the topic deleted")

        def there_again() -> bool:
            producer.publish({"n": 2}, routing_key="task.sent")
            return topic in admin.list_topics(timeout=10).topics

        wait_for(there_again, word="the topic made again")
