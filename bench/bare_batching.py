"""Measuring: the limit of batches: lines parsed by msgspec and produced to Kafka, without HTTP and without rules.

Run as `python -m bench.bare_batching BROKER`. Says `ready`; then, for each line on standard input, which is seconds,
a poll's id and the lines of a body, it takes one body after the other for that long, and says as JSON how many votes
Kafka acknowledged, within which time, and the CPU that this took.
"""

from __future__ import annotations

import json
import sys
import time

import msgspec
from confluent_kafka import Producer

from bench.http_accept import OPTIONS
from polling.core import ballots
from polling.vote_log import VOTES_TOPIC, producer_config

_FLUSH = 60.0


class Line(msgspec.Struct):
    """What a line has to say here."""

    option: str


class Batching:
    """One producer, and what Kafka said to it."""

    def __init__(self, broker: str) -> None:
        self._producer = Producer({**producer_config(broker), "message.timeout.ms": 60_000})
        self._decoder = msgspec.json.Decoder(Line)
        self._numbers = {text: number for number, text in enumerate(OPTIONS, 1)}
        self._failed: list[object] = []

    def warm(self) -> None:
        """Connects."""
        self._producer.list_topics(timeout=30)

    def run(self, seconds: float, poll: str, lines: int) -> dict[str, float]:
        """Bodies of so many lines, for so long.

        Raises:
            SystemExit: Kafka did not take all of them.
        """
        body = b"".join(b'{"option":"%b"}\n' % OPTIONS[n % len(OPTIONS)].encode() for n in range(lines))
        used, begun = time.process_time(), time.monotonic()
        votes = 0
        while time.monotonic() - begun < seconds:
            votes += self._take(body, poll.encode())
        if self._producer.flush(_FLUSH) or self._failed:
            raise SystemExit(f"Kafka did not take all votes: {self._failed[:1]}")
        took = time.monotonic() - begun
        return {"votes": votes, "seconds": took, "cpu_seconds": time.process_time() - used}

    def _take(self, body: bytes, poll: bytes) -> int:
        producer, delivered, numbers = self._producer, self._delivered, self._numbers
        lines = self._decoder.decode_lines(body)
        now = time.time() * 1000
        for line in lines:
            ballot = ballots.fresh()
            value = b'{"poll":"%b","ballot":"%b","option":"%d","at":%d}' % (
                poll,
                ballot.hex().encode(),
                numbers[line.option],
                now,
            )
            while True:
                try:
                    producer.produce(VOTES_TOPIC, value, ballot, on_delivery=delivered)
                    break
                except BufferError:
                    producer.poll(0.01)
        producer.poll(0)
        return len(lines)

    def _delivered(self, error: object, _message: object) -> None:
        if error is not None:
            self._failed.append(error)


def main(broker: str) -> None:
    """Answers the lines."""
    batching = Batching(broker)
    batching.warm()
    print("ready", flush=True)
    for line in sys.stdin:
        seconds, poll, lines = line.split()
        print(json.dumps(batching.run(float(seconds), poll, int(lines))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
