"""All rooms: shows metrics and health over HTTP, also for several processes as one."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from polling.telemetry.logs import logger

log = logger(__name__)

Readiness = Callable[[], list[str]]
"""Names what is not ready; an empty list means ready."""


def share() -> None:
    """Lets this process and its children show their metrics as one. Before any metric is imported."""
    folder = tempfile.mkdtemp(prefix="polling-metrics-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)


def child_ended(pid: int) -> None:
    """Takes the gauges of a process that is gone out of the sum."""
    from prometheus_client import multiprocess

    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]


def exposition() -> tuple[bytes, str]:
    """The metrics as Prometheus text, and its content type."""
    from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest, multiprocess

    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY), CONTENT_TYPE_LATEST
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST


def serve(address: str, port: int, readiness: Readiness) -> int:
    """Serves `/livez`, `/readyz` and `/metrics` from a thread. A port that is taken is replaced by a free one, and
    said. Answers the port.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/metrics":
                body, content_type = exposition()
                self._answer(200, body, content_type)
            elif self.path == "/livez":
                self._answer(200, b'{"status":"alive"}')
            elif self.path == "/readyz":
                away = readiness()
                body = json.dumps({"status": "not ready" if away else "ready", "not_ready": away}).encode()
                self._answer(503 if away else 200, body)
            else:
                self._answer(404, b'{"status":"not found"}')

        def _answer(self, status: int, body: bytes, content_type: str = "application/json") -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            log.debug("metrics asked for", request=self.requestline)

    try:
        server = ThreadingHTTPServer((address, port), Handler)
    except OSError:
        server = ThreadingHTTPServer((address, 0), Handler)
        log.warning("the metrics' port is taken", wanted=port, instead=server.server_port)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server.server_port
