"""Measuring: votes over HTTP at a steady rate, in a process of its own that costs little.

Run as `python -m bench.steady HOST PORT PATH CONNECTIONS`. Says `ready` when all are connected; then, for each line on
standard input, which is a rate, seconds, and 1 or 0, it posts votes on that schedule, whatever the answers take, and
says as JSON: how many, the seconds from when each was due to its answer (of every thousandth and the percentiles), by
how many it was sent late, and where the third word was 1, when each vote id was accepted.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from typing import Any

from bench.http_accept import OPTIONS
from bench.report import percentile

_DRAIN = 30.0
_ID = b'"vote_id":"'
_ID_LENGTH = 32
_END = b"\r\n\r\n"
_LENGTH = b"content-length:"


class Steady:
    """So many kept connections, each with one request under way at most."""

    def __init__(self, host: str, port: int, path: str, connections: int) -> None:
        self._poller = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._requests = [_request(host, port, path, option) for option in OPTIONS]
        for _ in range(connections):
            one = socket.create_connection((host, port), 30)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets[one.fileno()] = one
            self._poller.register(one.fileno(), select.EPOLLIN)

    def run(self, rate: float, seconds: float, keep: bool) -> dict[str, Any]:
        """Posts `rate` × `seconds` votes.

        Raises:
            SystemExit: one was not answered 202, or not at all.
        """
        votes = int(rate * seconds)
        accepted: list[tuple[str, float]] = []
        late: list[float] = []
        waits: list[float] = []
        free = list(self._sockets)
        due_at: dict[int, float] = {}
        parts: dict[int, bytes] = {}
        begun = time.monotonic()
        sent = answered = 0
        while answered < votes:
            now = time.monotonic()
            while sent < votes and free and (due := begun + sent / rate) <= now:
                number = free.pop()
                self._sockets[number].sendall(self._requests[sent % len(self._requests)])
                due_at[number] = due
                late.append(now - due)
                sent += 1
            if now > begun + seconds + _DRAIN:
                raise SystemExit(f"{sent - answered} votes were not answered, {votes - sent} not sent")
            pause = max(0.0, begun + sent / rate - now) if free and sent < votes else 0.1
            for number, _event in self._poller.poll(pause):
                data = parts.pop(number, b"") + self._sockets[number].recv(65536)
                if not _is_whole(data):
                    parts[number] = data
                    continue
                at = time.monotonic()
                if keep:
                    accepted.append((_vote_id(data), at))
                elif not data.startswith(b"HTTP/1.1 202"):
                    raise SystemExit(f"a vote was answered {data[:300]!r}")
                waits.append(at - due_at[number])
                free.append(number)
                answered += 1
        found = {f"p{share * 100:g}": percentile(waits, share) for share in (0.5, 0.9, 0.99, 0.999)}
        return {
            "votes": votes,
            "seconds": time.monotonic() - begun,
            "answered": found,
            "late": percentile(late, 0.99),
            "accepted": accepted,
        }


def _request(host: str, port: int, path: str, option: str) -> bytes:
    body = json.dumps({"option": option})
    return (
        f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def _is_whole(data: bytes) -> bool:
    """Whether this is a head and the body that it announces. The server hung up where nothing came at all."""
    if not data:
        raise SystemExit("the server hung up")
    head = data.find(_END)
    if head < 0:
        return False
    length = data[:head].lower().partition(_LENGTH)[2].split(b"\r\n", 1)[0]
    return len(data) >= head + len(_END) + int(length or 0)


def _vote_id(data: bytes) -> str:
    at = data.find(_ID) + len(_ID)
    if not data.startswith(b"HTTP/1.1 202") or at < len(_ID):
        raise SystemExit(f"a vote was answered {data[:300]!r}")
    return data[at : at + _ID_LENGTH].decode()


def main(host: str, port: int, path: str, connections: int) -> None:
    """Answers the lines."""
    steady = Steady(host, port, path, connections)
    print("ready", flush=True)
    for line in sys.stdin:
        rate, seconds, keep = line.split()
        print(json.dumps(steady.run(float(rate), float(seconds), keep == "1")), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
