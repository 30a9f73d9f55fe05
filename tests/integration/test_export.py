"""The integration tests: PostgreSQL goes away in the middle of a long file, which must not look whole."""

from __future__ import annotations

import http.client
import socket

from support.polls import batch, counted, create
from support.system import System
from support.waiting import until


def test_a_file_that_is_not_whole_says_so(whole: System) -> None:
    """Where it has not begun it is an error, where it has the connection breaks."""
    client, postgres = whole.client, whole.servers.postgres
    assert postgres is not None
    poll = create(client)
    for _ in range(8):
        batch(client, poll, [{"option": "1"}] * 10_000).expect(202)
    counted(client, poll, 80_000, 0)
    asking = http.client.HTTPConnection(client.host, client.port, timeout=60)
    asking.connect()
    assert asking.sock is not None
    asking.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    asking.request("GET", f"{poll.path}/export?of=ballots", headers=poll.admin)
    answer = asking.getresponse()
    assert answer.status == 200
    answer.read(1000)
    postgres.kill()
    try:
        read = answer.read()
        raise AssertionError(f"{len(read)} bytes came as if they were all")
    except (http.client.IncompleteRead, ConnectionError):
        asking.close()
    until(lambda: client.get(f"{poll.path}/export?of=ballots", **poll.admin).status == 503, "it is an error")
    assert "an export was broken off" in whole.log_of("api")
