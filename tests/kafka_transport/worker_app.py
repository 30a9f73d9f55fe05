"""Celery over Kafka, tested: the Celery application that the tests' workers run. Tasks write down what they did."""

# Celery's decorators are not annotated:
# mypy: allow-untyped-decorators

from __future__ import annotations

import json
import os
import signal
import time
from typing import Any

from celery import Celery
from kombu import Queue

import tasks.kafka_transport.worker as transport


def make_app(url: str, queues: list[str], options: dict[str, Any]) -> Celery:
    """An application with the settings that keep tasks, on these queues."""
    app = Celery("transport_test", broker=url)
    app.conf.update(
        transport.celery_settings(),
        task_default_queue=queues[0],
        task_queues=[Queue(name, routing_key=name) for name in queues],
        task_create_missing_queues=False,
        broker_transport_options=options,
        worker_send_task_events=True,
        task_send_sent_event=True,
        event_queue_prefix=queues[0],
    )
    return app


app = make_app(
    os.environ.get("TEST_BROKER_URL", "kafkatasks://localhost//"),
    os.environ.get("TEST_QUEUES", "test").split(","),
    json.loads(os.environ.get("TEST_OPTIONS", "{}")),
)
transport.install_worker_signals()
if os.environ.get("TEST_FLOWER"):
    from tasks.kafka_transport import flower_plugin

    flower_plugin.install()
if os.environ.get("TEST_BEAT"):
    app.conf.beat_schedule = {"beat": {"task": "note", "schedule": 0.5, "args": ("beat",)}}


def write(word: str) -> None:
    """Append one line, whole, from whichever process."""
    descriptor = os.open(os.environ["TEST_DIARY"], os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    os.write(descriptor, f"{word}\n".encode())
    os.close(descriptor)


@app.task(name="note")
def note(word: str) -> None:
    write(word)


@app.task(name="work")
def work(name: str, seconds: float) -> None:
    write(f"start {name}")
    time.sleep(seconds)
    write(f"done {name}")


@app.task(name="fail")
def fail() -> None:
    raise ValueError("on purpose")


@app.task(name="retry_twice", bind=True, max_retries=3)
def retry_twice(self: Any) -> None:
    write(f"try {self.request.retries} {time.time()}")
    if self.request.retries < 2:
        raise self.retry(countdown=0.5)


@app.task(name="die_once")
def die_once(marker: str) -> None:
    """Kill the process that runs it, the first time."""
    write("dying")
    if not os.path.exists(marker):
        with open(marker, "w"):
            os.kill(os.getpid(), signal.SIGKILL)
    write("survived")
