"""Measuring: the little of WebSocket (RFC 6455) that a cheap client needs: it makes a frame once, and reads many."""

from __future__ import annotations

import socket

PING = b"\x89\x00"
"""The server's ping; no text of ours holds these bytes, so that it can be looked for."""

PONG = b"\x8a\x80\0\0\0\0"
"""The answer to it, masked as a client must, with a mask that changes nothing."""

_TEXT = 0x81
_MASK = b"\x37\xfa\x21\x3d"
_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
_HEAD_LIMIT = 16 * 1024


def masked(payload: bytes) -> bytes:
    """A whole text frame of a client's, of up to 65,535 bytes."""
    length = len(payload)
    head = bytes((_TEXT, 0x80 | length)) if length < 126 else bytes((_TEXT, 0xFE)) + length.to_bytes(2)
    return head + _MASK + bytes(byte ^ _MASK[at % 4] for at, byte in enumerate(payload))


def texts(data: bytes) -> tuple[list[bytes], bytes]:
    """The payloads of all text frames of a server's that are whole, and what is left. Other frames are passed over."""
    found = []
    at, end = 0, len(data)
    while end - at >= 2:
        first, length = data[at], data[at + 1]
        head = at + 2
        if length >= 126:
            head += 2 if length == 126 else 8
            length = int.from_bytes(data[at + 2 : head])
        if head > end or head + length > end:
            break
        if first == _TEXT:
            found.append(data[head : head + length])
        at = head + length
    return found, data[at:]


def request(host: str, port: int, path: str) -> bytes:
    """What asks for a WebSocket."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {_KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def connect(host: str, port: int, path: str, limit: float = 30.0) -> tuple[socket.socket, bytes]:
    """A WebSocket, and what came after its handshake.

    Raises:
        OSError: nobody answers, or not with 101.
    """
    connection = socket.create_connection((host, port), limit)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(request(host, port, path))
    data = b""
    while b"\r\n\r\n" not in data and len(data) < _HEAD_LIMIT:
        data += connection.recv(4096) or b"\r\n\r\n"
    head, _, rest = data.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 101"):
        raise OSError(f"no WebSocket at {host}:{port}: {head.splitlines()[:1]}")
    return connection, rest
