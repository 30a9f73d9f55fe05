"""Steps 4 to 6 of 7: the Celery application: its tasks, and beat's schedule."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import psycopg
from celery import Celery
from confluent_kafka import KafkaException

from polling.core.leaderboard import Entry
from polling.core.series import NOTED_EVERY
from polling.settings import Settings
from tasks import closing, housekeeping, messages, reconciling, series
from tasks.dead_letters import DeadLettersUnavailable
from tasks.kafka_transport.worker import LargeRequest, install_worker_signals
from tasks.ranking import Ranking
from tasks.resources import Resources


class KafkaDidNotAnswer(Exception):
    """The task comes again. In place of Kafka's own error, which cannot be pickled and so not leave the process."""


@contextmanager
def _picklable_errors() -> Iterator[None]:
    try:
        yield
    except KafkaException as error:
        raise KafkaDidNotAnswer(str(error)) from error


_SCHEDULE = {
    messages.REFRESH_LEADERBOARD: 1.0,
    messages.ANNOUNCE_CLOSED: 1.0,
    messages.RECONCILE: 60.0,
    messages.NOTE_SERIES: float(NOTED_EVERY),
    messages.DELETE_OLD_RECORDS: 600.0,
}
"""Seconds between two runs of each periodic task. A run that waited for longer than that is dropped."""


def make_app(settings: Settings) -> Celery:
    """Celery with every task of ours."""
    app = messages.make_celery(settings)
    install_worker_signals()
    _add_tasks(app, settings)
    app.conf.beat_schedule = {
        task: {
            "task": task,
            "schedule": seconds,
            "options": {"queue": messages.PERIODIC_QUEUE, "expires": max(seconds, 5.0)},
        }
        for task, seconds in _SCHEDULE.items()
    }
    return app


def _add_tasks(app: Celery, settings: Settings) -> None:
    resources, ranking = Resources(settings), Ranking()
    last_entries: list[tuple[Entry, ...]] = [()]
    # Shared ones would go to every other application of the process too, in place of its own. What passes by itself
    # leaves no trace in the log.
    task = partial(app.task, shared=False, throws=(psycopg.OperationalError, DeadLettersUnavailable, KafkaDidNotAnswer))

    @task(name=messages.RECORD_VOTES, Request=LargeRequest)
    def record_votes(batch: bytes, topics: dict[str, str]) -> None:
        """Counts a batch of votes, and tells of the polls that it changed."""
        slices = messages.decode_batch(batch)
        changed = resources.recorder.record(slices, {int(number): topic for number, topic in topics.items()})
        resources.publisher.results(changed)

    @task(name=messages.REFRESH_LEADERBOARD)
    def refresh_leaderboard() -> None:
        """Asks PostgreSQL for the leaderboard, keeps it in Redis, and tells the sockets where it changed."""
        board = ranking.refresh(resources.connect())
        resources.publisher.leaderboard(board, changed=board.entries != last_entries[0])
        last_entries[0] = board.entries

    @task(name=messages.ANNOUNCE_CLOSED)
    def announce_closed() -> None:
        """Tells of polls that closed, and of those that are final."""
        connection = resources.connect()
        resources.publisher.results(closing.announce(connection))
        with _picklable_errors():
            closing.seal(connection, resources.topics, settings.allowed_skew)
        resources.publisher.results(closing.finalise(connection))

    @task(name=messages.RECONCILE)
    def reconcile() -> int:
        """Holds some tallies against a recount."""
        return reconciling.reconcile_sample(resources.connect())

    @task(name=messages.NOTE_SERIES)
    def note_series() -> int:
        """Keeps how the polls that changed stand now."""
        return series.note(resources.connect())

    @task(name=messages.DELETE_OLD_RECORDS)
    def delete_old_records() -> int:
        """Thins the series as it ages, and deletes what is counted and old from the log."""
        series.thin(resources.connect())
        with _picklable_errors():
            return housekeeping.delete_old_records(resources.connect(), resources.topics, settings.log_retention_days)
