"""A broker that is killed and comes back: workers go on by themselves, publishers are told the truth."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kombu.exceptions import OperationalError

from polling.local.kafka import Kafka

from .harness import Bench, Inbox, wait_for


@pytest.fixture
def bench(kafka_server: Kafka, tmp_path: Path) -> Iterator[Bench]:
    """On the broker that is there to be killed."""
    with Bench(f"127.0.0.1:{kafka_server.port}", f"t{uuid.uuid4().hex[:8]}", tmp_path) as bench:
        bench.options["publish_timeout"] = 2
        yield bench


def stored(bench: Bench, word: str) -> bool:
    """Whether a task could be sent."""
    try:
        bench.send("note", word)
    except OperationalError:
        return False
    return True


def was_requeued(message: Any) -> bool:
    return "redelivered" in message.delivery_info


def test_workers_outlive_their_broker_and_publishers_are_told(kafka_server: Kafka, bench: Bench) -> None:
    requeued = f"{bench.name}-requeued"
    bench.queues = [bench.name, requeued]
    worker = bench.worker("-Q", bench.name, lean=False)
    for number in range(20):
        bench.send("work", f"before {number}", 0.2)
    bench.wait_for_lines("done before", 4)
    with bench.connection(group_id=requeued) as connection:
        bench.send("note", "again", queue=requeued)
        inbox = Inbox(connection, bench.queue(requeued))
        [message] = inbox.wait_for(1)

        kafka_server.kill()
        message.requeue()
        asked = time.monotonic()
        with pytest.raises(OperationalError):
            bench.send("note", "never stored")
        assert time.monotonic() - asked < 20, "a publisher is told within its time limit"
        late = bench.run("worker", "-l", "INFO", "-c", "1", "-Q", bench.name, "-n", f"late@{bench.name}", log="late")
        late.wait_for_log("no Kafka broker answered")
        kafka_server.start()

        bench.wait_for_lines("done before", 20)
        wait_for(lambda: stored(bench, "after"), word="a publish that succeeds")
        bench.wait_for_lines("after", 1)
        # The record itself may come again before its copy does: its partition was lost meanwhile.
        wait_for(lambda: any(map(was_requeued, inbox.drain(0.5))), word="the requeued message")
    late.wait_for_log("assigned ")
    wait_for(lambda: bench.lag() == 0, word="everything committed")
    nodes = {f"one@{bench.name}", f"late@{bench.name}"}
    control = bench.app.control
    wait_for(lambda: set(control.inspect(timeout=10, limit=2).ping() or {}) == nodes, word="remote control")
    assert worker.log.count(" ready.") == 1, "it was the same worker all the time"

    kafka_server.stop()
    for one in (worker, late):
        one.popen.terminate()
    for one in (worker, late):
        assert one.wait() == 0, "a worker stops without its broker too"
