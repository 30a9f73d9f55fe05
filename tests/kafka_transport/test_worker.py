"""A real worker: killed, stopped, joined by another, and asked questions."""

from __future__ import annotations

import itertools
import signal
import time
from pathlib import Path

import pytest

from tasks.kafka_transport import publish_batch

from .harness import Bench, wait_for


def send_work(bench: Bench, number: int, seconds: float) -> None:
    with publish_batch():
        for name in range(number):
            bench.send("work", str(name), seconds)


def test_kill_9_of_the_worker_tree_loses_no_task(bench: Bench) -> None:
    bench.options["group_instance_id"] = "node"
    send_work(bench, 200, 0.02)
    for life in range(2):
        worker = bench.worker(name="killed")
        bench.wait_for_lines("done", 50 * (life + 1))
        worker.kill()
    bench.worker(name="last")
    bench.wait_for_lines("done", 200)
    wait_for(lambda: bench.lag() == 0, word="everything committed")


def test_a_pool_child_that_dies_puts_its_task_back(bench: Bench, tmp_path: Path) -> None:
    worker = bench.worker()
    bench.send("die_once", str(tmp_path / "marker"))
    bench.wait_for_lines("survived", 1)
    assert bench.lines() == ["dying", "dying", "survived"]
    wait_for(lambda: bench.lag() == 0, word="everything committed")
    assert worker.popen.poll() is None


@pytest.mark.parametrize(
    ("pool", "whom"),
    [("prefork", "the main process"), ("prefork", "the whole group"), ("solo", "the whole group")],
)
def test_sigterm_stops_a_busy_worker_after_its_running_tasks(bench: Bench, pool: str, whom: str) -> None:
    worker = bench.worker("-P", pool, "-c", "2")
    send_work(bench, 40, 1.0)
    bench.wait_for_lines("start", 1 if pool == "solo" else 2)
    if whom == "the whole group":
        worker.signal_group(signal.SIGTERM)
    else:
        worker.popen.send_signal(signal.SIGTERM)
    assert worker.wait() == 0
    started = [line for line in bench.lines() if line.startswith("start")]
    done = [line for line in bench.lines() if line.startswith("done")]
    assert len(done) == len(started) < 40
    assert bench.lag() == 40 - len(done), "what is done is committed, what is not done is not"


def test_two_workers_share_and_a_rebalance_loses_nothing(bench: Bench) -> None:
    send_work(bench, 150, 0.03)
    first = bench.worker(name="first")
    bench.wait_for_lines("done", 20)
    bench.worker(name="second")
    first.wait_for_log("revoked ")
    bench.wait_for_lines("done", 70)
    first.popen.send_signal(signal.SIGTERM)
    assert first.wait() == 0
    bench.wait_for_lines("done", 150)
    wait_for(lambda: bench.lag() == 0, word="everything committed")


def test_retry_with_a_countdown_and_beat(bench: Bench) -> None:
    bench.worker("-B", "-s", str(bench.directory / "schedule"), TEST_BEAT="1")
    bench.send("retry_twice")
    bench.wait_for_lines("try", 3)
    tries = [float(line.split()[2]) for line in bench.lines() if line.startswith("try")]
    assert all(later - earlier >= 0.45 for earlier, later in itertools.pairwise(tries))
    wait_for(lambda: bench.lines().count("beat") >= 3, word="three beats")


def test_an_eta_does_not_hold_other_tasks_up(bench: Bench) -> None:
    bench.worker()
    sent = time.monotonic()
    for number in range(6):
        bench.send("note", f"later {number}", countdown=5)
    for number in range(10):
        bench.send("note", f"now {number}")
    bench.wait_for_lines("now", 10)
    lines = bench.lines()
    if time.monotonic() - sent < 5:
        assert not [line for line in lines if line.startswith("later")]
    bench.wait_for_lines("later", 6)
    wait_for(lambda: bench.lag() == 0, word="everything committed")


def test_remote_control(bench: Bench) -> None:
    bench.worker("--concurrency", "2", lean=False)
    node = f"one@{bench.name}"
    control = bench.app.control
    assert control.inspect(timeout=10, limit=1).ping() == {node: {"ok": "pong"}}

    control.pool_grow(1, reply=True, timeout=10, limit=1)

    def processes() -> int:
        stats = control.inspect(timeout=10, limit=1).stats()
        return len(stats[node]["pool"]["processes"])

    wait_for(lambda: processes() == 3, word="a third child")

    running = bench.send("work", "long", 60)
    bench.wait_for_lines("start long", 1)
    control.revoke(running.id, terminate=True)
    waiting = bench.send("note", "revoked before it ran", countdown=5)
    control.revoke(waiting.id)
    wait_for(lambda: bench.lag() == 0, word="both revoked tasks finished with")
    bench.send("note", "after")
    bench.wait_for_lines("after", 1)
    assert bench.lines() == ["start long", "after"]

    active = control.inspect(timeout=10, limit=1).active_queues()
    assert [queue["name"] for queue in active[node]] == [bench.name]
    control.shutdown()


def test_the_solo_pool_works(bench: Bench) -> None:
    bench.worker("-P", "solo")
    send_work(bench, 20, 0.01)
    bench.wait_for_lines("done", 20)
    wait_for(lambda: bench.lag() == 0, word="everything committed")
