"""Tests: what an attacker has: bytes on a connection, to one door of the system, and an eye on its process."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import socket
import struct
from pathlib import Path
from types import TracebackType
from typing import Any

from support.http import Client
from support.polls import Made
from support.system import System

PATIENCE = 60.0
"""Seconds that the server may take for a step, on a busy machine."""

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
VOTE = b'{"option":"1"}'


class Server:
    """One API process of a system."""

    def __init__(self, system: System, name: str) -> None:
        self.system, self.name = system, name
        self.url = system.url_of(name)
        self.address = ("127.0.0.1", system.ports[name])

    def client(self, **headers: str) -> Client:
        """`headers` with `_` for `-`, sent with each request."""
        return Client(self.url, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def wire(self, *, receive: int | None = None) -> Wire:
        """A connection; `receive` makes the room small that the kernel has for what is not read."""
        return Wire(self.address, receive)

    def socket(self, query: str = "", *fields: str) -> Wire:
        """A WebSocket; what came with the 101 is in `got`."""
        wire = self.wire()
        wire.send(upgrade(query, *fields))
        try:
            wire.until(b"\r\n\r\n")
            assert wire.got.startswith(b"HTTP/1.1 101 "), wire.got
        except AssertionError:
            wire.close()
            raise
        return wire

    def metric(self, name: str) -> float:
        """One of the process's own metrics; the sum of all its labels."""
        with self.client() as client:
            text = client.get("/metrics").body.decode()
        found = re.findall(rf"^polling_{name}(?:_total)?(?:{{[^}}]*}})? ([0-9.e+]+)$", text, re.MULTILINE)
        return sum(map(float, found))

    def megabytes(self) -> float:
        """What the process has in memory now."""
        text = Path(f"/proc/{self.system.pid(self.name)}/status").read_text()
        found = re.search(r"^VmRSS:\s+(\d+) kB$", text, re.MULTILINE)
        assert found is not None
        return int(found[1]) / 1024

    def lives(self) -> None:
        """Fails where it does not answer any more."""
        assert self.system.alive(self.name)
        with self.client() as client:
            assert client.get("/livez").status == 200


class Wire:
    """A connection. `got` has all bytes that came so far; `closed` whether the server has ended it."""

    def __init__(self, address: tuple[str, int], receive: int | None = None) -> None:
        self._socket = socket.socket()
        if receive is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        self._socket.settimeout(PATIENCE)
        self._socket.connect(address)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.got = b""
        self.closed = False
        self._at: int | None = None

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(self, *parts: bytes) -> None:
        for part in parts:
            self._socket.sendall(part)

    def send_some(self, data: bytes) -> int:
        """As much as the network takes now: 0 where the other end does not read, or is gone."""
        self._socket.setblocking(False)
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            self.closed = True
            return 0
        finally:
            self._socket.settimeout(PATIENCE)

    def until(self, what: bytes, count: int = 1) -> bytes:
        """Reads until this has come so many times; all that has come. Fails where the server closes before."""
        while self.got.count(what) < count:
            assert self._read(), f"closed after {self.got[-500:]!r}"
        return self.got

    def rest(self) -> bytes:
        """Reads until the server closes."""
        while self._read():
            pass
        return self.got

    def finish(self) -> None:
        """Sends no more, and says so."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def is_closed(self) -> bool:
        """Whether the server has closed by now; reads what is there."""
        self._socket.setblocking(False)
        try:
            while self._read():
                pass
        except BlockingIOError:
            pass
        finally:
            self._socket.settimeout(PATIENCE)
        return self.closed

    def close(self) -> None:
        self._socket.close()

    def next_frame(self) -> tuple[int, bytes] | None:
        """Opcode and payload of the next frame of a WebSocket, None once it has closed. Answers pings."""
        if self._at is None:
            self._at = self.got.index(b"\r\n\r\n") + 4
        at = self._at
        while len(self.got) < at + 2 or len(self.got) < at + _length(self.got, at):
            if not self._read():
                return None
        head = 2 if self.got[at + 1] < 126 else 4 if self.got[at + 1] == 126 else 10
        self._at = at + _length(self.got, at)
        opcode, payload = self.got[at] & 15, self.got[at + head : self._at]
        if self._at > 1 << 20:
            self.got, self._at = self.got[self._at :], 0
        if opcode == PING:
            self.send_some(frame(PONG, payload))
        return opcode, payload

    def close_code(self) -> int | None:
        """The code with which the server closes, or None where it only hangs up."""
        while (found := self.next_frame()) is not None:
            if found[0] == CLOSE:
                return int(struct.unpack("!H", found[1][:2])[0]) if len(found[1]) >= 2 else None
        return None

    def answer(self, *kinds: str) -> dict[str, Any]:
        """The next frame that is of one of these types (that is no push, where none is named)."""
        while (found := self.next_frame()) is not None:
            opcode, payload = found
            message = json.loads(payload) if opcode == TEXT else {"type": None}
            assert isinstance(message, dict)
            if message["type"] in (kinds or ("error", "vote", "pong", "unsubscribed", "deleted")):
                return message
        raise AssertionError(f"closed after {self.got[-500:]!r}")

    def _read(self) -> bool:
        if not self.closed:
            try:
                data = self._socket.recv(1 << 18)
            except ConnectionResetError:
                data = b""
            self.closed = not data
            self.got += data
        return not self.closed


def _length(data: bytes, at: int) -> int:
    """Of a whole frame, as far as its head is there."""
    short = data[at + 1]
    if short < 126:
        return 2 + short
    if short == 126:
        return 4 + int(struct.unpack("!H", data[at + 2 : at + 4])[0]) if len(data) >= at + 4 else 4
    return 10 + int(struct.unpack("!Q", data[at + 2 : at + 10])[0]) if len(data) >= at + 10 else 10


def request(poll: Made, body: bytes = VOTE, *fields: bytes, kind: bytes = b"application/json") -> bytes:
    """A vote as the fast lane takes it, where `fields` do not forbid that."""
    lines = [
        b"POST %b/vote HTTP/1.1" % poll.path.encode(),
        b"Host: x",
        b"Content-Type: " + kind,
        b"Content-Length: %d" % len(body),
        *fields,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def last(data: bytes) -> bytes:
    """The same request, after which the server closes; and so one that the fast lane leaves to Tornado."""
    return data.replace(b"Host: x\r\n", b"Host: x\r\nConnection: close\r\n", 1)


def statuses(data: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", data)]


def upgrade(query: str = "", *fields: str) -> bytes:
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"GET /{query} HTTP/1.1",
        "Host: x",
        "Connection: Upgrade",
        "Upgrade: websocket",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
        *fields,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def frame(opcode: int, data: bytes = b"", *, final: bool = True, reserved: int = 0) -> bytes:
    """A masked frame, well-formed or not."""
    size, first = len(data), final << 7 | reserved << 4 | opcode
    if size < 126:
        head = struct.pack("!BB", first, 0x80 | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", first, 0x80 | 127, size)
    mask = os.urandom(4)
    long = mask * (size // 4 + 1)
    return head + mask + bytes(a ^ b for a, b in zip(data, long, strict=False))


def say(**message: Any) -> bytes:
    return frame(TEXT, json.dumps(message).encode())
