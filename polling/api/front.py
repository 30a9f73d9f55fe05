"""Step 1 of 7, accept: stands before the router: who really asks, and how much of a body is read."""

from __future__ import annotations

import sys
from collections.abc import Awaitable
from http import HTTPStatus

import tornado.web
from tornado import httputil
from tornado.http1connection import HTTP1Connection

from polling.api import headers
from polling.api.answers import encode
from polling.core.errors import BodyTooLarge
from polling.core.polls import MAX_BATCH_BODY, MAX_BODY

DRAINED = 16 * 1024 * 1024
"""Bytes of a refused body that are read and thrown away, so that a client that still sends hears the answer."""

NO_LIMIT = sys.maxsize
"""Tornado's own limit for bodies, out of the way: it would answer a bare 400. The limits here come first, always."""


class Message(httputil.HTTPMessageDelegate):
    """One request on its way in. A body over the limit is refused at once, however it is sent."""

    def __init__(self, application: tornado.web.Application, connection: HTTP1Connection) -> None:
        self._application = application
        self._connection = connection
        self._inner: httputil.HTTPMessageDelegate | None = None
        self._limit = MAX_BODY
        self._size = 0
        self._refused = False

    def headers_received(
        self,
        start_line: httputil.RequestStartLine | httputil.ResponseStartLine,
        headers: httputil.HTTPHeaders,
    ) -> Awaitable[None] | None:
        assert isinstance(start_line, httputil.RequestStartLine)
        request = httputil.HTTPServerRequest(connection=self._connection, start_line=start_line, headers=headers)
        limits = self._application.settings["services"].limits
        request.remote_ip, secure = limits.client(
            request.remote_ip or "", headers.get("X-Forwarded-For"), headers.get("X-Forwarded-Proto")
        )
        request.protocol = "https" if secure else "http"
        if request.path.endswith("/votes/batch"):
            self._limit = MAX_BATCH_BODY
        declared = headers.get("Content-Length", "")
        # Python refuses to read a number of thousands of digits; nobody sends that many bytes.
        length = 0 if not declared.isdecimal() else int(declared) if len(declared) < 20 else NO_LIMIT
        if length > self._limit:
            self._refuse(request, length > DRAINED or "Expect" in headers)
            return None
        self._request = request
        self._inner = self._application.find_handler(request)
        return self._inner.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        self._size += len(chunk)
        if self._refused:
            if self._size > DRAINED:
                self._connection.finish()
            return None
        assert self._inner is not None
        if self._size > self._limit:
            self._refuse(self._request, False)
            return None
        return self._inner.data_received(chunk)

    def finish(self) -> None:
        if self._refused:
            self._connection.finish()
        else:
            assert self._inner is not None
            self._inner.finish()

    def on_connection_close(self) -> None:
        if self._inner is not None:
            self._inner.on_connection_close()

    def _refuse(self, request: httputil.HTTPServerRequest, at_once: bool) -> None:
        """Answers 413 now. The connection goes on once the body has been read, or ends where that is `at_once`."""
        self._refused = True
        if self._inner is not None:
            self._inner.on_connection_close()
            self._inner = None
        error = BodyTooLarge(self._limit)
        services = self._application.settings["services"]
        cors = headers.cors(request.headers.get("Origin"), services.settings.allowed_origins)
        start_line = httputil.ResponseStartLine("HTTP/1.1", error.status, HTTPStatus(error.status).phrase)
        body = encode(error.problem())
        lines = {**headers.problem_headers(error, len(body)), **cors}
        self._connection.write_headers(start_line, httputil.HTTPHeaders(lines), body)
        if at_once:
            self._connection.finish()
