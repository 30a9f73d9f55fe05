"""Steps 4 to 6 of 7: runs a worker, beat, or Flower, each until it is told to stop."""

from __future__ import annotations

import faulthandler
import logging
import os
import socket
import threading
import time
import warnings
from typing import Any

from celery.beat import Scheduler, SchedulingError
from celery.platforms import SecurityWarning
from celery.signals import setup_logging, worker_process_shutdown, worker_ready, worker_shutting_down

from polling.settings import Settings
from polling.telemetry import logger, serving
from tasks.app import make_app

log = logger(__name__)

WORKER_METRICS_PORT = 9102
BEAT_METRICS_PORT = 9103

_STOP_LIMIT = 8.0  # seconds from being told to stop; what is not done then is handed out again
_BEAT_SILENCE = 30.0  # seconds without a tick after which beat is not ready


def run_worker(settings: Settings, concurrency: int) -> None:
    """Runs a worker with so many processes. It waits for Kafka by itself."""
    _keep_our_logs()
    ready: list[bool] = []
    worker_ready.connect(lambda **_: ready.append(True), weak=False)
    worker_process_shutdown.connect(lambda pid, **_: serving.child_ended(pid), weak=False)
    worker_shutting_down.connect(_bound_the_stop, weak=False)
    port = _serve(settings, WORKER_METRICS_PORT, lambda: [] if ready else ["worker"])
    log.info("worker starts", processes=concurrency, metrics_port=port)
    name = settings.node_name or socket.gethostname()
    # The tasks' messages are JSON, which root may read as well as anybody.
    warnings.filterwarnings("ignore", message="You're running the worker with superuser", category=SecurityWarning)
    make_app(settings).start(
        [
            "--quiet",
            "worker",
            f"--concurrency={concurrency}",
            f"--hostname=worker@{name}",
            "--loglevel=WARNING",
            "--task-events",
            "--without-mingle",
            "--without-gossip",
        ]
    )


class LastingScheduler(Scheduler):
    """Beat's scheduler, which begins anew with a connection that failed it: Celery's own keeps its producer, and one
    that lost its channel while Kafka was away sends nothing any more."""

    def apply_async(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().apply_async(*args, **kwargs)
        except SchedulingError:
            self.__dict__.pop("producer", None)
            connection = self.__dict__.pop("connection", None)
            if connection is not None:
                connection.release()
            raise


def run_beat(settings: Settings) -> None:
    """Runs beat: one in the whole system. Its schedule is all intervals, so that nothing needs to be kept."""
    _keep_our_logs()
    ticked = [time.monotonic()]

    class TickingScheduler(LastingScheduler):
        def tick(self, *args: object, **kwargs: object) -> float:
            wait: float = super().tick(*args, **kwargs)
            ticked[0] = time.monotonic()
            return wait

    def readiness() -> list[str]:
        return ["beat"] if time.monotonic() - ticked[0] > _BEAT_SILENCE else []

    port = _serve(settings, BEAT_METRICS_PORT, readiness)
    log.info("beat starts", metrics_port=port)
    make_app(settings).Beat(scheduler_cls=TickingScheduler, max_interval=1, loglevel="WARNING", quiet=True).run()


def run_flower(settings: Settings) -> None:
    """Runs Flower on its port. Without `FLOWER_BASIC_AUTH` anybody who reaches it may use it and its API."""
    from tasks.kafka_transport import flower_plugin

    _keep_our_logs()
    flower_plugin.install()
    words = ["flower", f"--address={settings.bind_address}", f"--port={settings.flower_port}", "--loglevel=WARNING"]
    if settings.flower_basic_auth:
        words.append(f"--basic-auth={settings.flower_basic_auth}")
    else:
        os.environ["FLOWER_UNAUTHENTICATED_API"] = "true"  # where Flower looks for it
    app = make_app(settings)
    log.info("flower starts", port=settings.flower_port)
    app.start(words)


def _bound_the_stop(**_: object) -> None:
    """A worker that cannot end says where it stands, and ends all the same: no vote hangs on its last task."""

    def give_up() -> None:
        log.error("worker did not stop in time and is ended", seconds=_STOP_LIMIT)
        faulthandler.dump_traceback(all_threads=True)
        os._exit(1)

    timer = threading.Timer(_STOP_LIMIT, give_up)
    timer.daemon = True
    timer.start()


class _WithoutTrace(logging.Filter):
    """Celery's consumer tells of a broker that comes and goes by a trace of its own restart counter."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno == logging.CRITICAL and "Frequent restarts" in str(record.msg):
            record.exc_info, record.levelno, record.levelname = None, logging.WARNING, "WARNING"
        return True


def _serve(settings: Settings, usual_port: int, readiness: serving.Readiness) -> int:
    port = usual_port if settings.metrics_port is None else settings.metrics_port
    return serving.serve(settings.bind_address, port, readiness)


def _keep_our_logs() -> None:
    """Celery would put its own handlers in place of ours, and writes two lines a task: one line a batch is enough."""
    setup_logging.connect(lambda **_: None, weak=False)
    for chatty in ("celery.worker.strategy", "celery.app.trace", "celery.beat", "flower.command"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.getLogger("celery.worker.consumer.consumer").addFilter(_WithoutTrace())
