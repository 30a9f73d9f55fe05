"""Flower over Kafka: every task in its right state, and the lag on the broker page."""

from __future__ import annotations

import json
import urllib.request
from collections import Counter
from typing import Any

from polling.local.ports import any_free
from tasks.kafka_transport import publish_batch

from .harness import Bench, wait_for


class Flower:
    """A running Flower, asked over HTTP."""

    def __init__(self, bench: Bench) -> None:
        self.base = f"http://127.0.0.1:{(port := any_free())}"
        environment = bench.env(TEST_FLOWER="1", FLOWER_UNAUTHENTICATED_API="true")
        bench.run("flower", "--address=127.0.0.1", f"--port={port}", env=environment, log="flower.log")
        wait_for(self.workers, word="Flower sees the worker")
        # It connects to ask and to listen separately, and shows only what it heard of.
        wait_for(lambda: self.state(bench.send("note", "probe")), word="Flower hears events")

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"{self.base}{path}", timeout=20) as answer:
            return str(answer.read().decode())

    def json(self, path: str) -> Any:
        return json.loads(self.get(path))

    def workers(self) -> Any:
        try:
            return self.json("/api/workers?refresh=1")
        except OSError:
            return None

    def state(self, task: Any) -> str | None:
        found = self.json("/api/tasks").get(task.id)
        return found and str(found["state"])

    def states(self, name: str) -> Counter[str]:
        found = self.json(f"/api/tasks?taskname={name}&limit=10000")
        return Counter(task["state"] for task in found.values())


def test_flower_shows_every_task_in_its_right_state_and_the_lag(bench: Bench) -> None:
    bench.worker("--concurrency", "2", lean=False)
    flower = Flower(bench)
    received = bench.send("note", "later", countdown=300)
    started = bench.send("work", "long", 300)
    succeeded = bench.send("note", "now")
    failed = bench.send("fail")
    retried = bench.send("retry_twice")
    revoked = bench.send("note", "never", countdown=300)
    wait_for(lambda: flower.state(revoked) == "RECEIVED", word="the worker has it")
    bench.app.control.revoke(started.id, terminate=True)
    bench.app.control.revoke(revoked.id)

    expected = {received: "RECEIVED", started: "REVOKED", succeeded: "SUCCESS", failed: "FAILURE", retried: "SUCCESS"}

    def shown() -> dict[str, str | None]:
        return {task.id: flower.state(task) for task in expected}

    wait_for(lambda: shown() == {task.id: state for task, state in expected.items()}, word="all the states")
    assert flower.json(f"/api/task/info/{retried.id}")["retried"], "it was seen retried"
    running = bench.send("work", "longer", 300)
    wait_for(lambda: flower.state(running) == "STARTED", word="a running task")

    with publish_batch():
        for number in range(1000):
            bench.send("work", str(number), 0)
    wait_for(lambda: flower.states("work")["SUCCESS"] == 1000, word="no event lost under load")

    # One child is busy for long: what is sent to both now waits, and the broker page says so.
    bench.send("work", "longest", 300)
    bench.wait_for_lines("start longest", 1)
    for _ in range(7):
        bench.send("note", "waiting")
    # Finished tasks are committed a moment later: the lag may still fall when it is first asked for.
    wait_for(lambda: queue_shown(flower, bench, bench.lag()), word="the lag, in Flower's list")
    wait_for(lambda: f">{bench.lag()}<" in "".join(flower.get("/broker").split()), word="the lag, on the page")
    assert bench.lag() >= 7
    assert bench.name in flower.get("/broker")


def queue_shown(flower: Flower, bench: Bench, lag: int) -> bool:
    shown = {"name": bench.name, "messages": lag, "partitions": bench.options["partitions"]}
    return bool(flower.json("/api/queues/length")["active_queues"] == [shown])
