"""The way out of a socket, on real socket pairs: order, bounds, and what a slow reader gets."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from socket_door import until
from tornado.iostream import IOStream

from websocket.outbox import MAX_ANSWERS, Outbox

FRAME = 20_000


class Pair:
    """An outbox, and the other end, which reads only when told."""

    def __init__(self) -> None:
        ours, self.reader = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 * 1024)
        self.reader.setblocking(False)
        self.stream = IOStream(ours)
        self.now = 0.0
        self.overflows = 0
        self.outbox = Outbox(self.stream, lambda: self.now, self.on_overflow)

    def on_overflow(self) -> None:
        self.overflows += 1

    async def read(self, size: int) -> bytes:
        loop = asyncio.get_running_loop()
        got = b""
        while len(got) < size:
            got += await asyncio.wait_for(loop.sock_recv(self.reader, size - len(got)), 30)
        return got

    def fill(self) -> bytes:
        """Sends answers until the kernel takes no more; what was sent."""
        sent = b""
        while not self.outbox.behind:
            frame = f"{len(sent):06d}".encode() * (FRAME // 6)
            self.outbox.answer(frame)
            sent += frame
        return sent


@pytest_asyncio.fixture
async def pair() -> AsyncIterator[Pair]:
    pair = Pair()
    yield pair
    pair.stream.close()
    pair.reader.close()


async def test_a_frame_goes_straight_out(pair: Pair) -> None:
    pair.outbox.show("a", b"one")
    pair.outbox.answer(b"two")
    assert pair.reader.recv(100) == b"onetwo", "without a turn of the loop"
    assert pair.outbox.stalled_since is None


async def test_all_bytes_come_in_order_however_little_the_kernel_takes(pair: Pair) -> None:
    sent = pair.fill()
    for number in range(5):
        frame = b"%d" % number * 1000
        pair.outbox.answer(frame)
        sent += frame
    # Tornado's own frames (pong, close) go through the stream, between ours.
    pong = pair.stream.write(b"PONG")
    pair.outbox.look()
    sent += b"PONG"
    assert await pair.read(len(sent)) == sent
    await asyncio.wait_for(pong, 30)
    await until(lambda: not pair.outbox.behind)
    pair.outbox.answer(b"straight again")
    assert pair.reader.recv(100) == b"straight again"


async def test_a_slow_reader_gets_the_newest_of_each_subject(pair: Pair) -> None:
    sent = pair.fill()
    for number in range(1000):
        pair.outbox.show("a", b"a%03d" % number)
        pair.outbox.show("b", b"b%03d" % number)
    pair.outbox.show("gone", b"never")
    pair.outbox.forget("gone")
    assert await pair.read(len(sent)) == sent
    assert await pair.read(8) == b"a999b999"
    await until(lambda: not pair.outbox.behind)
    with pytest.raises(BlockingIOError):
        pair.reader.recv(1)


async def test_frames_stay_whole_when_it_stalls_again_and_again(pair: Pair) -> None:
    sent = pair.fill()
    for subject in "abcdef":
        pair.outbox.show(subject, subject.encode() * 100_000)
    await pair.read(len(sent) + 1)
    pair.outbox.show("f", b"F" * 50_000)
    pair.outbox.show("g", b"g" * 100_000)
    rest = b"a" + await pair.read(5 * 100_000 + 50_000 + 100_000 - 1)
    runs = [(chr(letter), len(list(run))) for letter, run in itertools.groupby(rest)]
    assert runs == [*((letter, 100_000) for letter in "abcde"), ("F", 50_000), ("g", 100_000)]
    await until(lambda: not pair.outbox.behind)


async def test_stalled_since_tells_how_long(pair: Pair) -> None:
    pair.now = 5.0
    sent = pair.fill()
    pair.now = 9.0
    pair.outbox.show("a", b"x")
    assert pair.outbox.stalled_since == 5.0
    await pair.read(len(sent) + 1)
    await until(lambda: pair.outbox.stalled_since is None)
    await asyncio.wait_for(pair.outbox.drained(), 30)


async def test_a_stall_by_tornados_own_frames_is_noticed(pair: Pair) -> None:
    noise = b"p" * 1_000_000
    pair.stream.write(noise)
    pair.outbox.look()
    pair.outbox.show("a", b"after")
    assert pair.outbox.behind
    assert await pair.read(len(noise) + 5) == noise + b"after"


async def test_answers_are_bounded(pair: Pair) -> None:
    pair.fill()
    count = 0
    while not pair.overflows:
        pair.outbox.answer(b"x" * 1000)
        count += 1
        assert count <= MAX_ANSWERS / 1000 + 1
    pair.outbox.answer(b"more")
    pair.outbox.show("a", b"more")
    assert pair.overflows == 1


async def test_a_peer_that_is_gone_is_no_error(pair: Pair) -> None:
    pair.reader.close()
    for _ in range(3):
        pair.outbox.show("a", b"x" * FRAME)
        pair.outbox.answer(b"y" * FRAME)
        await asyncio.sleep(0.01)
    assert pair.stream.closed()


async def test_a_peer_that_goes_while_something_waits(pair: Pair) -> None:
    pair.fill()
    pair.outbox.show("a", b"x")
    waiting = asyncio.create_task(pair.outbox.drained())
    await asyncio.sleep(0)
    pair.reader.close()
    await asyncio.wait_for(waiting, 30)
    pair.outbox.show("a", b"x")
    pair.outbox.answer(b"x")


async def test_who_waits_for_a_reader_that_has_gone_does_not_hold_up_the_loop(pair: Pair) -> None:
    """The stream has told of its end already, and the outbox has not heard of it yet."""
    pair.fill()
    pair.stream.close()
    assert pair.outbox.behind
    await pair.outbox.drained()
    assert not pair.outbox.behind


async def test_answers_that_are_ready_together_go_together_and_in_order(pair: Pair) -> None:
    pair.outbox.answer_soon(b"one ")
    pair.outbox.answer_soon(b"two ")
    with pytest.raises(BlockingIOError):
        pair.reader.recv(100)
    pair.outbox.answer(b"three ")
    pair.outbox.answer_soon(b"four")
    assert await pair.read(18) == b"one two three four"


async def test_what_was_to_be_sent_soon_is_not_sent_after_the_end(pair: Pair) -> None:
    pair.outbox.answer_soon(b"late")
    pair.outbox.close()
    await asyncio.sleep(0)
    pair.outbox.flush()
    with pytest.raises(BlockingIOError):
        pair.reader.recv(100)
