"""Peers that are slow on purpose: they take their time, and cost nobody else anything."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator

from support.http import Client
from support.polls import Made, counted, create, vote
from support.waiting import until
from support.wire import Server, Wire, frame, request, upgrade

ROUNDS = 200


def test_who_is_slow_is_hung_up_on(server: Server, client: Client, poll: Made) -> None:
    """All at once, because each of them is given its time: headers, bodies, chunks, answers, frames."""
    long = create(client, *(f"{number} " + "\U0001f409" * 150 for number in range(100)), question="?" * 500)
    half = request(poll, b'{"option":"1"}')
    slow = {
        "half a request line": half[:20],
        "half a head": half[:90],
        "no body": half[: half.index(b"\r\n\r\n") + 4],
        "half a body": half[:-3],
        "half a body that the lane leaves": half[:-3].replace(b"Host: x", b"Host: x\r\nPrefer: wait=0"),
        "half a chunk": half.replace(b"Content-Length: 14\r\n", b"Transfer-Encoding: chunked\r\n")[:-14] + b"ff\r\nabc",
        "half a body over the limit": half.replace(b"Content-Length: 14", b"Content-Length: 100000"),
        "half a handshake": upgrade()[:60],
    }
    reads = [f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for path in (long.path, "/openapi.json")]
    before = server.megabytes()
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(server.wire()) for _ in slow]
        for wire, data in zip(wires, slow.values(), strict=True):
            wire.send(data)
        # Of these nothing is read until they are closed; the last one votes on and on, by the fast lane.
        unread = [(stack.enter_context(server.wire(receive=4096)), data) for data in (*reads, request(poll))]
        until(lambda: all([_hung_up(wire, data * 20) for wire, data in unread]), "who reads no answers is closed", 120)
        until(lambda: all([wire.is_closed() for wire in wires]), "who does not finish is closed", 120)
    assert server.megabytes() < before + 60
    vote(client, poll).expect(202)


def test_a_process_without_files_left_takes_the_next_who_come(server: Server, client: Client, poll: Made) -> None:
    """It sheds those that ask nothing, and does not spin, or die, or lose a vote."""
    pid = server.system.pid(server.name)
    usual = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    opened = len(os.listdir(f"/proc/{pid}/fd"))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (opened + 40, usual[1]))
    try:
        with _many(server, 80) as wires:
            until(lambda: sum(wire.is_closed() for wire in wires) > 0, "some that ask nothing are closed")
            for _ in range(12):
                with server.client() as another:
                    vote(another, poll).expect(202)
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, usual)
    counted(client, poll, 12, 0)
    lines = server.system.log_of(server.name).count("no connection can be taken")
    assert 1 <= lines < 1000, "it pauses between two tries"


def test_a_mass_of_connections_that_ask_nothing(server: Server, client: Client, poll: Made) -> None:
    before = server.megabytes()
    with _many(server, 1500):
        for _ in range(50):
            vote(client, poll).expect(202)
        assert server.megabytes() < before + 80
    counted(client, poll, 50, 0)


def test_sockets_that_never_read_cost_bounded_memory(server: Server, client: Client) -> None:
    """They watch a poll with long texts that changes all the time, ask without end, and ping."""
    poll = create(client, *(f"{number} " + "x" * 190 for number in range(100)))
    before = server.megabytes()
    wires = [server.wire(receive=4096) for _ in range(30)]
    for wire in wires:
        wire.send(upgrade(f"?poll={poll.id}"))
    asks = frame(9, b"p" * 125) * 50 + frame(1, b'{"type":"ping"}') * 50
    for turn in range(ROUNDS):
        wires[turn % 30].send_some(asks)
        vote(client, poll, str(1 + turn % 100)).expect(202)
    assert server.megabytes() < before + 60
    until(lambda: server.metric("slow_readers") >= 30, "they are closed as readers that do not read", 120)
    for wire in wires:
        wire.close()


def _hung_up(wire: Wire, more: bytes) -> bool:
    """Whether the other end is gone, found out by writing more: nothing is read."""
    wire.send_some(more)
    return wire.closed


@contextlib.contextmanager
def _many(server: Server, count: int) -> Iterator[list[Wire]]:
    wires = [server.wire() for _ in range(count)]
    try:
        yield wires
    finally:
        for wire in wires:
            wire.close()
