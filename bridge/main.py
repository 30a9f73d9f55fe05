"""Step 3 of 7, log to task: puts the bridge together and runs it until it is told to stop."""

from __future__ import annotations

import signal

from kombu.exceptions import OperationalError

from bridge.flights import Window
from bridge.gathering import Gatherer
from bridge.loop import Bridge, SendFailed
from bridge.progress import Progress
from bridge.reader import Reader
from polling.settings import Settings
from polling.telemetry import logger, serving
from polling.vote_log import Topics
from tasks import messages

log = logger(__name__)

METRICS_PORT = 9101


def run(settings: Settings) -> None:
    """Runs a bridge until SIGTERM or SIGINT. Waits for whatever is not there yet."""
    celery = messages.make_celery(settings)

    def send(batch: bytes, topics: dict[str, str]) -> None:
        shown = f"({len(batch)} bytes, {topics})"
        try:
            celery.send_task(
                messages.RECORD_VOTES,
                args=[batch, topics],
                argsrepr=shown,
                serializer=messages.BATCH_SERIALIZER,
                retry=False,
            )
        except OperationalError as error:
            raise SendFailed(str(error)) from error

    progress = Progress(settings.database_url, Topics(settings.kafka_broker))
    gatherer = Gatherer()
    reader = Reader(settings.kafka_broker, settings.node_name, gatherer, lambda: progress.known.frontiers)
    bridge = Bridge(
        progress,
        reader,
        gatherer,
        Window(settings.bridge_deadline),
        encode=messages.encode_batch,
        send=send,
        batch_records=settings.bridge_batch,
        batch_bytes=messages.MAX_BATCH_BYTES,
        window_size=settings.bridge_window,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: bridge.stop())
    port = METRICS_PORT if settings.metrics_port is None else settings.metrics_port
    port = serving.serve(settings.bind_address, port, bridge.not_ready)
    log.info("bridge starts", kafka=settings.kafka_broker, metrics_port=port)
    progress.start()
    bridge.run()
    progress.stop()
    reader.show_progress()
    reader.close()
