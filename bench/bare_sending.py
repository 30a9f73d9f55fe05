"""Measuring: the limit of fanning out: a bare loop of `send()` over sockets, with a frame that is ready.

Run as `python -m bench.bare_sending PORT SOCKETS`, where that many connect. For each line on standard input, which is
seconds, a step and a frame in hexadecimal, it sends the frame to all each step for that long, and says how many
frames were sent and the CPU seconds that this took.
"""

from __future__ import annotations

import resource
import socket
import sys
import time


def main(port: int, sockets: int) -> None:
    """Accepts first, and then sends."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    listening = socket.create_server(("127.0.0.1", port), backlog=1024)
    print("ready", flush=True)
    connected = []
    for _ in range(sockets):
        one, _address = listening.accept()
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        one.recv(4096)
        one.setblocking(False)
        connected.append(one)
    for line in sys.stdin:
        seconds, step, frame = line.split()
        print(*_send(connected, float(seconds), float(step), bytes.fromhex(frame)), flush=True)


def _send(connected: list[socket.socket], seconds: float, step: float, frame: bytes) -> tuple[int, float]:
    sent = 0
    used = time.process_time()
    begun = time.monotonic()
    turn = 0
    while (due := turn * step) < seconds:
        time.sleep(max(0.0, begun + due - time.monotonic()))
        for one in connected:
            if one.send(frame) != len(frame):
                raise SystemExit("a receiver does not read")
        sent += len(connected)
        turn += 1
    return sent, time.process_time() - used


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
