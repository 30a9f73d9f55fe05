"""Measuring: voters over WebSockets, in one process that costs little: frames are made once, and answers counted.

Run as `python -m bench.socket_voters HOST PORT SOCKETS IN_FLIGHT FRAME`, the frame's text in hexadecimal. Says `ready`
when all are connected; then, for each line on standard input, which is seconds, it keeps so many frames of each socket
unanswered for that long, and says as JSON how many were answered, within which time, and the CPU that this took here.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time

from bench import wire

_ANSWER = b'"ref"'
_ERROR = b'"type":"error"'
_DRAIN = 20.0
"""Seconds that the last answers may take."""


class Voter:
    """One socket. `done` counts its answers."""

    def __init__(self, connection: socket.socket, rest: bytes) -> None:
        self.connection = connection
        self._rest = rest

    def answers(self) -> int:
        """How many more have come.

        Raises:
            SystemExit: one is an error, or the server hung up.
        """
        more = self.connection.recv(256 * 1024)
        if not more:
            raise SystemExit("the server hung up")
        if wire.PING in more:
            self.connection.sendall(wire.PONG)
        payloads, self._rest = wire.texts(self._rest + more)
        count = 0
        for payload in payloads:
            if _ERROR in payload:
                raise SystemExit(f"a vote was answered {payload[:300]!r}")
            count += _ANSWER in payload
        return count


def main(host: str, port: int, sockets: int, in_flight: int, text: bytes) -> None:
    """Connects first, and then votes."""
    frame = wire.masked(text)
    voters = {}
    poller = select.epoll()
    for _ in range(sockets):
        voter = Voter(*wire.connect(host, port, "/"))
        voters[voter.connection.fileno()] = voter
        poller.register(voter.connection.fileno(), select.EPOLLIN)
    print("ready", flush=True)
    for line in sys.stdin:
        used = time.process_time()
        answered, seconds, total = _vote(voters, poller, frame, in_flight, float(line))
        used = time.process_time() - used
        result = {"answered": answered, "seconds": seconds, "total": total, "client_cpu_seconds": used}
        print(json.dumps(result), flush=True)


def _vote(
    voters: dict[int, Voter], poller: select.epoll, frame: bytes, in_flight: int, seconds: float
) -> tuple[int, float, int]:
    """Answers that came in time, the time, and all answers."""
    many = frame * in_flight
    size = len(frame)
    begun = time.monotonic()
    for voter in voters.values():
        voter.connection.sendall(many)
    waiting, answered, total = len(voters) * in_flight, 0, 0
    over = False
    ended = begun
    while waiting:
        for number, _event in poller.poll(1.0):
            voter = voters[number]
            count = voter.answers()
            total += count
            if over:
                waiting -= count
                continue
            answered += count
            if count:
                voter.connection.sendall(many[: count * size])
        now = time.monotonic()
        if not over and now - begun >= seconds:
            over, ended = True, now
        if over and now - ended > _DRAIN:
            raise SystemExit(f"{waiting} votes were not answered")
    return answered, ended - begun, total


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), bytes.fromhex(sys.argv[5]))
