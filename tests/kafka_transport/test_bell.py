"""Celery over Kafka: the bell is heard, whenever it is rung."""

from __future__ import annotations

import os

import pytest

from tasks.kafka_transport.bell import Bell


def test_is_heard_until_hushed() -> None:
    bell = Bell()
    assert not bell.wait(0)
    bell.ring()
    bell.ring()
    assert bell.wait(0)
    bell.hush()
    assert not bell.wait(0)


def test_is_heard_again_after_a_ring_in_the_middle_of_a_hush(monkeypatch: pytest.MonkeyPatch) -> None:
    bell = Bell()
    read = os.read

    def ring_and_read(descriptor: int, length: int) -> bytes:
        bell.ring()
        return read(descriptor, length)

    with monkeypatch.context() as patch:
        patch.setattr(os, "read", ring_and_read)
        bell.hush()
    bell.ring()
    assert bell.wait(0)
