"""The integration tests: without a worker the log grows, and nothing else: the bridge's window is the limit."""

from __future__ import annotations

import re
import uuid

from support import log
from support.polls import counted, create
from support.system import System
from support.waiting import until

BATCH, WINDOW = 50, 3
RECORDS = 3000


def test_a_stopped_worker_fills_the_window_and_no_more(whole: System) -> None:
    """The bridge hands out as many batches as its window holds, gathers two more, and leaves the rest in the log."""
    poll = create(whole.client)
    whole.kill("worker")
    whole.end("bridge")
    whole.spawn("bridge", BRIDGE_BATCH=str(BATCH), BRIDGE_WINDOW=str(WINDOW), BRIDGE_DEADLINE="3")
    whole.until_ready(["bridge"])
    log.write(whole.settings.kafka_broker, *[vote(poll.id) for _ in range(RECORDS)])
    until(lambda: metric(whole, "polling_batches_in_flight") == WINDOW, "the window is full")
    until(lambda: metric(whole, "polling_batches_dispatched_again_total") >= 2 * WINDOW, "all were handed out again")
    assert metric(whole, "polling_batches_in_flight") == WINDOW
    assert metric(whole, "polling_batches_dispatched_total") == WINDOW, "no other batch was made meanwhile"
    assert RECORDS <= metric(whole, "polling_log_lag") < RECORDS + 100, "the log has it all"
    whole.spawn("worker")
    whole.until_ready(["worker"])
    counted(whole.client, poll, RECORDS, 0)
    whole.restart("bridge")


def vote(poll_id: str) -> dict[str, str]:
    return {"poll": poll_id, "ballot": uuid.uuid4().hex, "option": "1"}


def metric(system: System, name: str) -> float:
    """The sum of a metric of the bridge over its labels."""
    with system.client_of("bridge") as client:
        text = client.get("/metrics").body.decode()
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE))
