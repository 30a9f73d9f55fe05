"""A broker that is killed and comes back: workers go on by themselves, publishers are told the truth."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu.exceptions import OperationalError

from polling.local.servers import Servers

from .harness import Bench, wait_for


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    """A Kafka of this test's own, to be killed."""
    with Servers(tmp_path / "servers", postgres=False, redis=False) as servers:
        yield servers


def test_a_killed_broker_that_comes_back(servers: Servers, tmp_path: Path) -> None:
    assert servers.kafka is not None
    with Bench(f"127.0.0.1:{servers.kafka.port}", "outage", tmp_path) as bench:
        bench.options["publish_timeout"] = 2
        worker = bench.worker(lean=False)
        for number in range(20):
            bench.send("work", f"before {number}", 0.2)
        bench.wait_for_lines("done before", 4)

        servers.kafka.kill()
        refused = time.monotonic()
        with pytest.raises(OperationalError):
            bench.send("note", "never stored")
        assert time.monotonic() - refused < 20
        time.sleep(2)
        servers.kafka.start()

        bench.wait_for_lines("done before", 20)

        def stored() -> bool:
            try:
                bench.send("note", "after")
            except OperationalError:
                return False
            return True

        wait_for(stored, word="a publish that succeeds")
        bench.wait_for_lines("after", 1)
        assert worker.popen.poll() is None
        assert worker.log.count("celery@") + worker.log.count("ready.") >= 1
        wait_for(lambda: bench.lag() == 0, word="everything committed")
        node = {"one@outage": {"ok": "pong"}}
        wait_for(lambda: bench.app.control.inspect(timeout=5, limit=1).ping() == node, word="remote control")
        worker.popen.terminate()
        assert worker.wait(20) == 0


def test_a_worker_starts_before_its_broker_and_stops_without_it(servers: Servers, tmp_path: Path) -> None:
    assert servers.kafka is not None
    servers.kafka.kill()
    with Bench(f"127.0.0.1:{servers.kafka.port}", "early", tmp_path) as bench:
        worker = bench.run("worker", "-l", "INFO", "-c", "1", "-n", "one@early")
        worker.wait_for_log("no Kafka broker answered")
        servers.kafka.start()
        worker.wait_for_log("assigned ")
        bench.send("note", "hello")
        bench.wait_for_lines("hello", 1)
        servers.kafka.kill()
        worker.popen.terminate()
        assert worker.wait(20) == 0
