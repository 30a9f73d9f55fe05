"""The bell: no message put down before a ring goes unnoticed, whatever the threads do."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Iterator

import pytest

from tasks.kafka_transport.bell import Bell


@pytest.fixture
def eager_switching() -> Iterator[None]:
    """Let threads take turns in the middle of things."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("eager_switching")
def test_every_message_is_noticed() -> None:
    bell, messages, number = Bell(), deque[int](), 30_000
    noticed = threading.Semaphore(0)

    def speak() -> None:
        for value in range(number):
            messages.append(value)
            bell.ring()
            if value % 3 == 0:
                assert noticed.acquire(timeout=30), f"message {value} went unnoticed"

    speaker = threading.Thread(target=speak)
    speaker.start()
    heard = 0
    while heard < number:
        assert bell.wait(30), f"silence after {heard} messages"
        bell.hush()
        while messages:
            if messages.popleft() % 3 == 0:
                noticed.release()
            heard += 1
    speaker.join()
    bell.close()


def test_ringing_often_is_one_ring_and_hush_ends_it() -> None:
    bell = Bell()
    for _ in range(100_000):
        bell.ring()
    assert bell.wait(0)
    bell.hush()
    assert not bell.wait(0)
    bell.ring()
    assert bell.wait(0)
    bell.close()
    bell.ring()
