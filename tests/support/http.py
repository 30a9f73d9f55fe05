"""Tests: an HTTP client that shows answers as they came, and sends what a test likes, be it nonsense."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Mapping
from email.message import Message
from typing import Any
from urllib.parse import urlsplit

PATIENCE = 30.0
"""Seconds that an answer may take."""

_GONE = (http.client.RemoteDisconnected, http.client.CannotSendRequest, ConnectionError)


class Answer:
    """A response: `status`, `headers` (by any case), `body` in bytes."""

    def __init__(self, status: int, headers: Message, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def __repr__(self) -> str:
        return f"<{self.status} {self.body[:300]!r}>"

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> Any:
        """The stable code of a problem document."""
        assert self.headers.get_content_type() == "application/problem+json", self
        return self.json["code"]

    def expect(self, status: int) -> Any:
        """The body's JSON (None where there is no body), where the status is that one; else the test fails."""
        assert self.status == status, self
        return self.json if self.body else None


class Client:
    """Speaks to one server from one thread, over one connection that is kept.

    `headers` go with each request. Cookies are kept only where `browser` is set. A kept connection that turns out to
    be closed is opened again and the request sent once more, unless `once`: then the error is the caller's. `patience`
    is in seconds, for each wait for the server.
    """

    def __init__(
        self,
        url: str,
        *,
        browser: bool = False,
        headers: Mapping[str, str] | None = None,
        once: bool = False,
        patience: float = PATIENCE,
    ) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "127.0.0.1", parts.port or 80
        self.cookie: str | None = None
        self._browser = browser
        self._once = once
        self._patience = patience
        self._headers = dict(headers or {})
        self._kept: http.client.HTTPConnection | None = None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def request(
        self,
        method: str,
        path: str,
        value: Any = None,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str | bytes] | None = None,
    ) -> Answer:
        """Sends `value` as JSON, or `body` as it is."""
        sent: dict[str, str | bytes] = dict(self._headers)
        if value is not None:
            body = json.dumps(value, ensure_ascii=False).encode()
            sent["Content-Type"] = "application/json"
        if self.cookie is not None:
            sent["Cookie"] = self.cookie
        sent |= headers or {}
        answer = self._exchange(method, path, body, sent)
        if self._browser and (cookie := answer.headers["Set-Cookie"]):
            self.cookie = cookie.partition(";")[0]
        return answer

    def get(self, path: str, **headers: str) -> Answer:
        """`headers`: `_` for `-`."""
        return self.request("GET", path, headers=_named(headers))

    def post(self, path: str, value: Any = None, **headers: str) -> Answer:
        return self.request("POST", path, value, headers=_named(headers))

    def delete(self, path: str, **headers: str) -> Answer:
        return self.request("DELETE", path, headers=_named(headers))

    def raw(self, data: bytes) -> bytes:
        """Sends these bytes on a connection of their own; all that comes back until the server closes."""
        with socket.create_connection((self.host, self.port), PATIENCE) as connection:
            connection.settimeout(PATIENCE)
            connection.sendall(data)
            received = b""
            # Closed with something unread is a reset; what had come by then is the answer.
            with contextlib.suppress(ConnectionResetError):
                while chunk := connection.recv(65536):
                    received += chunk
            return received

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def _exchange(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str | bytes]) -> Answer:
        if self._kept is not None:
            try:
                return self._ask(method, path, body, headers)
            except _GONE:
                if self._once:
                    raise
        return self._ask(method, path, body, headers)

    def _ask(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str | bytes]) -> Answer:
        if self._kept is None:
            self._kept = http.client.HTTPConnection(self.host, self.port, timeout=self._patience)
        try:
            self._kept.request(method, path, body, headers)
            with self._kept.getresponse() as response:
                return Answer(response.status, response.headers, response.read())
        except (OSError, http.client.HTTPException):
            self.close()
            raise


def _named(headers: Mapping[str, str]) -> dict[str, str | bytes]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
