"""Step 4 of 7, task: what crosses to the tasks: names of tasks and queues, the batch's form, and Celery's settings.

This is all of `tasks` that other rooms may import.
"""

from __future__ import annotations

from typing import Any

import msgspec
from celery import Celery
from kombu import Queue
from kombu.serialization import register

from polling.core.votes import Slice
from polling.settings import Settings
from tasks.kafka_transport.worker import celery_settings

VOTES_QUEUE = "votes-to-count"
"""Batches of votes. Nothing in it needs to be trusted: the bridge hands out again what is not counted in time."""

PERIODIC_QUEUE = "periodic"
"""What beat sends, so that refreshes do not pile up behind votes."""

RECORD_VOTES = "polling.record_votes"
REFRESH_LEADERBOARD = "polling.refresh_leaderboard"
ANNOUNCE_CLOSED = "polling.announce_closed"
RECONCILE = "polling.reconcile"
NOTE_SERIES = "polling.note_series"
DELETE_OLD_RECORDS = "polling.delete_old_records"

MAX_BATCH_BYTES = 800_000
"""Bytes of records in a batch: with what is around them, it stays below the broker's limit of 1 MB."""

BATCH_SERIALIZER = "msgpack"
"""Of the task that carries a batch, whose records are bytes: in JSON they would be a third larger, and text is slow to
write. All other tasks are JSON."""

register(
    BATCH_SERIALIZER,
    msgspec.msgpack.encode,
    msgspec.msgpack.decode,
    content_type="application/x-msgpack",
    content_encoding="binary",
)

_BATCH_TOPIC = {
    "retention.ms": "3600000",
    "retention.bytes": "134217728",
    "segment.bytes": "33554432",
    "segment.ms": "600000",
}
"""The bridge keeps a window of batches in flight, not a backlog: what is older has been counted or handed out again."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Slice])


def encode_batch(slices: list[Slice]) -> bytes:
    """A batch as one value, for a task of bytes. The records in it are not looked at."""
    return _encoder.encode(slices)


def decode_batch(batch: bytes) -> list[Slice]:
    """The batch again.

    Raises:
        ValueError: this is no batch.
    """
    return _decoder.decode(batch)


def make_celery(settings: Settings) -> Celery:
    """Celery as every part uses it: the bridge and beat send by a task's name, `tasks/app.py` adds the tasks."""
    app = Celery("polling", broker=settings.task_broker_url, set_as_current=False)
    app.conf.update(celery_settings())
    app.conf.update(
        task_default_queue=PERIODIC_QUEUE,
        task_queues=[Queue(name, routing_key=name) for name in (VOTES_QUEUE, PERIODIC_QUEUE)],
        task_routes={RECORD_VOTES: {"queue": VOTES_QUEUE}},
        worker_prefetch_multiplier=2,  # one batch at work and one at hand: a process never waits for its next
        task_time_limit=90,  # far above PostgreSQL's own limits: only for what hangs
        task_send_sent_event=True,
        worker_send_task_events=True,
        worker_hijack_root_logger=False,
        broker_connection_max_retries=None,
        broker_transport_options=_transport_options(settings),
        accept_content=["json", BATCH_SERIALIZER],
        timezone="UTC",
    )
    return app


def _transport_options(settings: Settings) -> dict[str, Any]:
    if not settings.task_broker_url.startswith("kafkatasks:"):
        return {"visibility_timeout": 60}
    copies = {"min.insync.replicas": str(settings.votes_min_insync)}
    return {
        "topic_prefix": "celery.",
        "group_id": "polling-workers",
        "group_instance_id": settings.node_name,
        "partitions": settings.votes_partitions,
        "replication_factor": settings.votes_replication,
        "topic_config": copies,
        "broadcast_config": copies,
        # Kafka spreads partitions evenly over workers, whatever is in them: were these as many as the votes', half of
        # the workers would have nothing but them, and the other half all of the counting.
        "queues": {VOTES_QUEUE: {"config": _BATCH_TOPIC}, PERIODIC_QUEUE: {"partitions": 1}},
    }
