"""Step 1 of 7, accept: counts the requests that were answered, in place of a log line for each."""

from __future__ import annotations

import tornado.web

from polling.api.base import Handler
from polling.api.batch import BatchHandler
from polling.api.votes import VoteHandler
from polling.core.errors import LogUnavailable, RateLimited
from polling.telemetry import metrics


def count(handler: tornado.web.RequestHandler) -> None:
    """Tornado calls it at the end of each request. Votes by the fast lane are counted there."""
    metrics.http_requests.labels(f"{handler.get_status() // 100}xx").inc()
    error = handler.refused if isinstance(handler, Handler) else None
    if isinstance(error, RateLimited):
        metrics.rate_limited.inc()
    if error is None or not isinstance(handler, VoteHandler | BatchHandler):
        return
    if isinstance(error, LogUnavailable):
        metrics.votes_unacknowledged.inc()
    else:
        metrics.votes_refused.labels(error.code).inc()
