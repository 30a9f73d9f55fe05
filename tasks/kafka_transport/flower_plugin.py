"""Celery over Kafka: Flower's broker page, and `/api/queues/length`, show the lag of each task queue.

Flower looks its broker up in a fixed list. `install()` adds this one; call it before Flower starts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from flower.views import BaseHandler


class KafkaBroker:
    """What Flower asks of a broker."""

    def __init__(self, app: Any) -> None:
        """`app` is the Celery application."""
        self._app = app

    async def queues(self, names: Iterable[str]) -> list[dict[str, Any]]:
        """[{"name", "messages": records not finished, "partitions"}], one for each of the names."""
        return await asyncio.get_running_loop().run_in_executor(None, self._rows, list(names))

    def _rows(self, names: list[str]) -> list[dict[str, Any]]:
        with self._app.connection_for_read() as connection:
            channel = connection.default_channel
            lags = {name: channel.lag(name) for name in names}
        return [
            {"name": name, "messages": sum(row.lag for row in rows), "partitions": len(rows)}
            for name, rows in lags.items()
        ]


def install() -> None:
    """Teach Flower about this transport. Other brokers are looked up as before; a second call changes nothing."""
    stock = BaseHandler.get_broker
    if getattr(stock, "knows_kafka", False):
        return

    def get_broker(handler: Any) -> Any:
        return KafkaBroker(handler.capp) if handler.application.transport == "kafka" else stock(handler)

    get_broker.knows_kafka = True  # type: ignore[attr-defined]
    BaseHandler.get_broker = get_broker
