"""Consuming: what is acknowledged, rejected, requeued, damaged, purged or left unfinished, and what comes again."""

from __future__ import annotations

import gc
import logging
import os
import time
from typing import Any

import pytest
from confluent_kafka import Consumer as RawConsumer
from confluent_kafka import Producer as RawProducer
from confluent_kafka import TopicPartition
from kombu import Connection, Exchange, Producer, Queue

from tasks.kafka_transport import ConsumerFailed

from .harness import Bench, Inbox, wait_for


def fill(bench: Bench, connection: Connection, number: int, queue: str | None = None) -> None:
    declared = bench.queue(queue)
    producer = Producer(connection.channel(), declared.exchange, declared.name)
    for value in range(number):
        producer.publish(value, declare=[declared])


@pytest.fixture(autouse=True)
def one_partition(bench: Bench) -> None:
    """So that the order is known."""
    bench.options["partitions"] = 1


def test_what_lies_behind_an_unfinished_message_comes_again(bench: Bench) -> None:
    with bench.connection() as connection:
        fill(bench, connection, 5)
        inbox = Inbox(connection, bench.queue())
        for message in inbox.wait_for(5):
            if message.payload != 2:
                message.ack()
    with bench.connection() as connection:
        again = Inbox(connection, bench.queue())
        again.wait_for(3)
        again.drain(0.3)
        assert again.bodies() == [2, 3, 4]
        for message in again.messages:
            message.ack()
    assert bench.lag() == 0


def test_reject_drops_and_requeue_brings_back(bench: Bench) -> None:
    with bench.connection() as connection:
        fill(bench, connection, 3)
        inbox = Inbox(connection, bench.queue())
        first, second, third = inbox.wait_for(3)
        first.reject()
        second.requeue()
        third.ack()
        back = inbox.wait_for(4)[3]
        assert back.payload == 1
        assert back.delivery_info["redelivered"] is True
        assert "redelivered" not in second.delivery_info
        back.ack()
        wait_for(lambda: bench.lag() == 0, word="everything committed")


def test_an_undecodable_record_is_logged_and_passed_over(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    with bench.connection() as connection:
        fill(bench, connection, 1)
        topic = connection.transport.topics.name(bench.name)
        raw = RawProducer({"bootstrap.servers": connection.transport.options.bootstrap_servers})
        raw.produce(topic, b"no message of ours")
        raw.produce(topic, b"{}", headers=[("kombu", b"{damaged")])
        assert raw.flush(10) == 0
        fill(bench, connection, 1)
        with caplog.at_level(logging.ERROR, "tasks.kafka_transport"):
            inbox = Inbox(connection, bench.queue())
            for message in inbox.wait_for(2):
                message.ack()
        assert [r.getMessage() for r in caplog.records if f"{topic}:0:1 skipped" in r.getMessage()]
        assert [r.getMessage() for r in caplog.records if f"{topic}:0:2 skipped" in r.getMessage()]
        wait_for(lambda: bench.lag() == 0, word="everything committed")


def test_purge_empties_a_backlog_and_the_consumer_goes_on(bench: Bench) -> None:
    with bench.connection() as connection:
        fill(bench, connection, 30)
        inbox = Inbox(connection, bench.queue(), prefetch=2)
        running = list(inbox.wait_for(2))
        assert connection.channel().queue_purge(bench.name) == 30
        assert bench.lag() == 0
        for message in running:
            message.ack()
        fill(bench, connection, 1)

        # What librdkafka had fetched before the purge may still come; the new message comes last.
        def came() -> bool:
            inbox.drain(0.2)
            for message in inbox.messages:
                if not message.acknowledged:
                    message.ack()
            return bool(inbox.bodies()[-1] == 0)

        wait_for(came, word="the new message")
        wait_for(lambda: bench.lag() == 0, word="the new message finished")


def test_several_queues_do_not_stall_each_other(bench: Bench) -> None:
    other = f"{bench.name}-other"
    with bench.connection() as connection:
        fill(bench, connection, 200)
        fill(bench, connection, 5, other)
        inbox = Inbox(connection, bench.queue(), bench.queue(other), prefetch=10)
        inbox.wait_for(10)
        seen = 0
        for _ in range(300):
            if seen == 205:
                break
            inbox.wait_for(seen + 1)
            inbox.messages[seen].ack()
            seen += 1
        assert seen == 205
        wait_for(lambda: bench.lag() == 0 and bench.lag(other) == 0, word="both queues finished")


def test_an_idle_queue_costs_a_busy_one_no_time(bench: Bench) -> None:
    """The stock transport waits for each of its consumers in turn."""
    idle = [f"{bench.name}-idle{number}" for number in range(3)]
    with bench.connection() as connection:
        for name in idle:
            bench.queue(name)(connection.channel()).declare()
        fill(bench, connection, 1)
        inbox = Inbox(connection, bench.queue(), *map(bench.queue, idle))
        inbox.wait_for(1)

        def took() -> float:
            started = time.monotonic()
            for _ in range(20):
                fill(bench, connection, 1)
                inbox.wait_for(len(inbox.messages) + 1)
            return time.monotonic() - started

        assert any(took() < 10 for _ in range(3)), "each message waited for the idle queues"


def test_a_cancelled_queue_keeps_what_runs_and_gives_the_rest_up(bench: Bench) -> None:
    other = f"{bench.name}-other"
    with bench.connection() as connection:
        fill(bench, connection, 3)
        fill(bench, connection, 1, other)
        inbox = Inbox(connection, bench.queue(), bench.queue(other), prefetch=4)
        inbox.wait_for(4)
        inbox.consumer.cancel_by_queue(bench.name)
        fill(bench, connection, 2)
        fill(bench, connection, 1, other)
        for message in inbox.messages[:4]:
            message.ack()
        inbox.wait_for(5)
        inbox.drain(0.5)
        assert len(inbox.messages) == 5, "the cancelled queue delivered"
        wait_for(lambda: bench.lag() == 2, word="what ran is committed, what came later is not")
        with bench.connection() as second:
            assert Inbox(second, bench.queue()).wait_for(2)


def test_a_full_window_is_kept_alive_beyond_the_poll_interval(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    slow = {"consumer_config": {"max.poll.interval.ms": 6000, "session.timeout.ms": 6000}, "stall_after": 0.5}
    with caplog.at_level(logging.INFO, "tasks.kafka_transport"), bench.connection(**slow) as connection:
        fill(bench, connection, 4)
        inbox = Inbox(connection, bench.queue(), prefetch=2)
        inbox.wait_for(2)
        inbox.drain(7)
        assert inbox.bodies() == [0, 1]
        for message in list(inbox.messages):
            message.ack()
        inbox.wait_for(4)
        assert inbox.bodies() == [0, 1, 2, 3]
    assert not [r for r in caplog.records if "maximum poll interval" in r.getMessage().lower()]
    assert bench.lag() == 2


def test_no_ack_means_finished_when_delivered(bench: Bench) -> None:
    with bench.connection() as connection:
        fill(bench, connection, 3)
        Inbox(connection, bench.queue(), no_ack=True).wait_for(3)
        wait_for(lambda: bench.lag() == 0, word="everything committed")


def test_fanout_reaches_everybody_from_the_moment_of_binding(bench: Bench) -> None:
    exchange = Exchange(f"{bench.name}.all", "fanout")

    def mailbox(name: str) -> Queue:
        return Queue(f"{bench.name}.{name}", exchange, auto_delete=True)

    with bench.connection() as sender, bench.connection() as one, bench.connection() as two:
        producer = Producer(sender.channel(), exchange)
        producer.publish("before")
        boxes = [Inbox(one, mailbox("one")), Inbox(two, mailbox("two"))]
        for value in range(20):
            producer.publish(value)
        for box in boxes:
            box.wait_for(20)
            assert box.bodies() == list(range(20))


def test_a_topic_exchange_filters_by_key(bench: Bench) -> None:
    exchange = Exchange(f"{bench.name}.events", "topic", durable=False)
    queue = Queue(f"{bench.name}.failures", exchange, routing_key="task.failed", auto_delete=True)
    everything = Queue(f"{bench.name}.tasks", exchange, routing_key="task.#", auto_delete=True)
    with bench.connection() as connection:
        some, every = Inbox(connection, queue), Inbox(connection, everything)
        producer = Producer(connection.channel(), exchange)
        for key in ("task.failed", "task.started", "worker.online", "task.failed"):
            producer.publish(key, routing_key=key)
        every.wait_for(3)
        some.wait_for(2)
        assert every.bodies() == ["task.failed", "task.started", "task.failed"]
        assert some.bodies() == ["task.failed", "task.failed"]


def test_topics_are_made_as_configured_and_outlive_their_consumers(bench: Bench) -> None:
    from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

    settings: dict[str, Any] = {"partitions": 3, "config": {"retention.ms": "3600000"}}
    with bench.connection(queues={bench.name: settings}) as connection:
        fill(bench, connection, 1)
        connection.channel().queue_delete(bench.name)
        topic = connection.transport.topics.name(bench.name)
        admin = AdminClient({"bootstrap.servers": connection.transport.options.bootstrap_servers})
        [future] = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values()
        found = future.result(10)
        assert (found["retention.ms"].value, found["segment.bytes"].value) == ("3600000", "67108864")
        assert [row.lag for row in connection.default_channel.lag(bench.name)] == [1, 0, 0]


def test_a_fenced_consumer_says_so_and_its_connection_can_be_made_again(bench: Bench) -> None:
    bench.options["group_instance_id"] = "node"
    with bench.connection() as first, bench.connection() as second:
        fill(bench, first, 1)
        inbox = Inbox(first, bench.queue())
        inbox.wait_for(1)
        Inbox(second, bench.queue()).wait_for(1)
        with pytest.raises(ConsumerFailed):
            inbox.drain(30)
        first.collect()
        Inbox(first, bench.queue()).wait_for(1)


def test_transports_that_are_only_looked_at_leave_no_descriptor_open(bench: Bench) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        with bench.connection() as connection:
            assert connection.transport.driver_type == "kafka"
    for _ in range(3):
        with bench.connection() as connection:
            fill(bench, connection, 1)
            Inbox(connection, bench.queue()).wait_for(1)
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) < before + 25


def test_finished_records_are_deleted_and_only_those(bench: Bench) -> None:
    with bench.connection(trim_interval=0.3) as connection:
        fill(bench, connection, 6)
        inbox = Inbox(connection, bench.queue())
        for message in inbox.wait_for(6):
            if message.payload not in (3, 5):
                message.ack()
        place = TopicPartition(connection.transport.topics.name(bench.name), 0)
        reader = RawConsumer({"bootstrap.servers": connection.transport.options.bootstrap_servers, "group.id": "x"})
        try:
            wait_for(lambda: reader.get_watermark_offsets(place, timeout=10) == (3, 6), word="three records deleted")
            inbox.drain(1)
            assert reader.get_watermark_offsets(place, timeout=10) == (3, 6)
        finally:
            reader.close()
    with bench.connection() as connection:
        again = Inbox(connection, bench.queue())
        again.wait_for(3)
        assert again.bodies() == [3, 4, 5]
