"""Publishing: a refused write raises, in the call that made it and nowhere else."""

from __future__ import annotations

import base64
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from confluent_kafka import KafkaError
from confluent_kafka.admin import AdminClient
from kombu import Producer

from tasks.kafka_transport import BrokerUnavailable, PublishError, publish_batch
from tasks.kafka_transport.publisher import Report

from .harness import Bench, Inbox, wait_for

#: A topic with this refuses every message of ours.
TINY = {"config": {"max.message.bytes": "100"}}


def send_batch(bench: Bench, queues: list[str], then: Exception | None = None) -> None:
    """One task into each of the queues, as one batch; at its end the exception, if any, is raised."""
    with publish_batch():
        for queue in queues:
            bench.send("note", "x", queue=queue)
        if then is not None:
            raise then


def test_a_refused_write_raises_from_apply_async(bench: Bench) -> None:
    bench.options["queues"] = {bench.name: TINY}
    with pytest.raises(PublishError, match=bench.name):
        bench.send("note", "x")
    assert bench.lag() == 0


def test_each_thread_gets_its_own_errors(bench: Bench) -> None:
    bad, good = f"{bench.name}-bad", bench.name
    bench.queues = [good, bad]
    bench.options["queues"] = {bad: TINY}
    start = threading.Barrier(6)

    def send(queue: str) -> list[str]:
        outcomes = []
        start.wait()
        for _ in range(40):
            try:
                bench.send("note", "x", queue=queue)
                outcomes.append("stored")
            except PublishError as error:
                outcomes.append("mine" if bad in str(error) else "another's")
        return outcomes

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(send, [good, bad] * 3))
    assert results[0::2] == [["stored"] * 40] * 3
    assert results[1::2] == [["mine"] * 40] * 3
    assert bench.lag(good) == 120


def test_a_batch_waits_once_and_raises_for_its_failures(bench: Bench) -> None:
    bad = f"{bench.name}-bad"
    bench.queues = [bench.name, bad]
    bench.options["queues"] = {bad: TINY}
    with publish_batch():
        for _ in range(50):
            bench.send("note", "x")
    assert bench.lag() == 50
    with pytest.raises(PublishError, match="1 of 21"):
        send_batch(bench, [bad if number == 10 else bench.name for number in range(21)])
    assert bench.lag() == 70


def test_an_exception_in_a_batch_goes_on_and_the_rest_is_stored(bench: Bench) -> None:
    with pytest.raises(KeyError):
        send_batch(bench, [bench.name], then=KeyError("mine"))
    assert bench.lag() == 1
    bench.send("note", "after the batch each call waits again")
    assert bench.lag() == 2


def test_messages_take_turns_over_the_partitions(bench: Bench) -> None:
    for _ in range(20):
        bench.send("note", "x")
    with bench.connection() as connection:
        assert [row.lag for row in connection.default_channel.lag(bench.name)] == [5, 5, 5, 5]


def test_a_big_body_fits_and_is_not_encoded_again(bench: Bench) -> None:
    blob = base64.b64encode(os.urandom(525_000)).decode()
    assert len(blob) == 700_000
    bench.send("note", blob)
    with bench.connection() as connection:
        [message] = Inbox(connection, bench.queue()).wait_for(1)
        record = message.delivery.record
        assert message.payload[0] == [blob]
        assert len(record.value()) < 700_000 + 200
        overhead = len(record.value()) - len(blob) + sum(len(k) + len(v) for k, v in record.headers())
        assert overhead < 2500


def test_any_body_survives(bench: Bench) -> None:
    with bench.connection() as connection:
        producer = Producer(connection.channel(), bench.queue().exchange, bench.name)
        sent = [
            ({"a": ["ü", None, 1.5]}, "json", None),
            (b"\x00\xff", "raw", None),
            ({"z": "x" * 5000}, "json", "zlib"),
        ]
        for body, serializer, compression in sent:
            producer.publish(body, serializer=serializer, compression=compression, declare=[bench.queue()])
        inbox = Inbox(connection, bench.queue())
        inbox.wait_for(3)
        assert sorted(map(repr, inbox.bodies())) == sorted(repr(body) for body, _, _ in sent)


def test_a_forked_child_publishes_with_a_producer_of_its_own(bench: Bench) -> None:
    bench.send("note", "parent")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            bench.send("note", "child")
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    bench.send("note", "parent again")
    assert bench.lag() == 3


def test_no_broker_is_said_and_not_waited_for_without_end(bench: Bench) -> None:
    bench.url = "kafkatasks://127.0.0.1:9//"
    bench.options["connect_timeout"] = 0.5
    with bench.connection() as connection, pytest.raises(BrokerUnavailable, match="no Kafka broker answered"):
        connection.connect()


def test_a_deleted_topic_is_made_again(bench: Bench) -> None:
    bench.send("note", "x")
    with bench.connection() as connection:
        topic = connection.transport.topics.name(bench.name)
        admin = AdminClient({"bootstrap.servers": connection.transport.options.bootstrap_servers})
        admin.delete_topics([topic])[topic].result(10)
        wait_for(lambda: topic not in admin.list_topics(timeout=10).topics, word="the topic deleted")
    bench.send("note", "x")
    assert bench.lag() == 1


@pytest.mark.parametrize(
    ("code", "gone"),
    [
        (KafkaError.UNKNOWN_TOPIC_OR_PART, True),
        (KafkaError._UNKNOWN_TOPIC, True),
        (KafkaError._UNKNOWN_PARTITION, True),
        (KafkaError._DESTROY, True),
        (KafkaError._MSG_TIMED_OUT, False),
        (KafkaError.MSG_SIZE_TOO_LARGE, False),
    ],
)
def test_what_it_means_that_a_message_was_not_stored(bench: Bench, code: int, gone: bool) -> None:
    report = Report("topic")
    report(KafkaError(code), None)
    with bench.connection() as connection, pytest.raises(PublishError) as caught:
        connection.transport.publisher.wait([report])
    assert caught.value.topic_gone is gone


def test_an_event_never_raises_for_celery_would_hold_the_worker_over_it(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.url = "kafkatasks://127.0.0.1:9//"
    bench.options["connect_timeout"] = 0.3
    with bench.connection() as connection, caplog.at_level("WARNING", "tasks.kafka_transport"):
        channel = connection.transport.create_channel(connection.transport)
        channel.exchange_declare("celeryev", "topic", durable=True)
        channel.basic_publish(channel.prepare_message("{}"), "celeryev", "worker.heartbeat")
    assert "1 broadcast messages (events) were not stored" in caplog.text
