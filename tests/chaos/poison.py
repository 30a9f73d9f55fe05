"""Chaos: records that can never be counted."""

from __future__ import annotations

import json
import os
import random
import uuid
from collections import Counter
from collections.abc import Callable

from confluent_kafka import Producer

from chaos.readings import QUIET


def write(broker: str, poll: str, known: Counter[bytes]) -> None:
    """Writes a thousand records that can never be counted, of every kind. `known` gets each before it is written, and
    how often Kafka acknowledged it: what it did not take need not be found."""
    kinds: list[Callable[[int], bytes]] = [
        lambda number: b"not json %d" % number,
        lambda number: json.dumps({"poll": poll, "ballot": "ab", "option": "1", "at": number}).encode(),
        lambda number: json.dumps({"poll": "nobody", "ballot": uuid.uuid4().hex, "option": "1"}).encode(),
        lambda number: json.dumps({"poll": poll, "ballot": uuid.uuid4().hex, "option": "99"}).encode(),
        lambda number: json.dumps({"poll": "a\0b", "ballot": uuid.uuid4().hex, "option": "1"}).encode(),
    ]
    written: Counter[bytes] = Counter()

    def delivered(error: object, message: object) -> None:
        if error is None:
            written[message.value()] += 1  # type: ignore[attr-defined]

    settings = {"bootstrap.servers": broker, "acks": "all", "message.timeout.ms": 10_000}
    producer = Producer(settings | QUIET)
    begun = random.getrandbits(40)
    values = [kinds[number % len(kinds)](begun + number) for number in range(1000)]
    for value in values:
        known[value] += 0
        producer.produce("votes", value, os.urandom(16), on_delivery=delivered)
    producer.flush(15)
    known.update(written)
