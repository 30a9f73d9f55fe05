"""Settings that change what a door does: origins, proxies, limits, processes."""

from __future__ import annotations

import os
import signal
import socket
import threading
from typing import Any

from support.http import Answer, Client
from support.system import System
from support.waiting import until

from api.conftest import ORIGIN

POLL = {"question": "Which?", "options": ["a", "b"]}


def created(system: System, **more: Any) -> Any:
    return system.client.post("/api/polls", {**POLL, **more}).expect(201)


def voted(client: Client, poll: Any, address: str, **headers: str) -> Answer:
    return client.post(f"/api/polls/{poll['id']}/vote", {"option": "a"}, X_Forwarded_For=address, **headers)


def test_votes_of_an_address_are_limited(system: System, strict: Client) -> None:
    poll = created(system)
    answers = [voted(strict, poll, "198.51.100.1") for _ in range(20)]
    refused = [answer for answer in answers if answer.status != 202]
    assert 5 <= len(answers) - len(refused) < 20
    assert refused[0].status == 429
    assert refused[0].code == "rate_limited"
    assert int(refused[0].headers["Retry-After"]) >= 1
    assert voted(strict, poll, "198.51.100.2").status == 202


def test_exempt_addresses_are_not_limited(system: System, strict: Client) -> None:
    poll = created(system)
    assert {voted(strict, poll, "192.0.2.1").status for _ in range(20)} == {202}


def test_the_fast_lane_is_limited_too(system: System, strict: Client) -> None:
    poll = created(system)
    until(lambda: strict.get(f"/api/polls/{poll['id']}").status == 200, "the other process knows the poll")
    statuses = {strict.post(f"/api/polls/{poll['id']}/vote", {"option": "a"}).status for _ in range(12)}
    assert statuses == {202, 429}


def test_polls_of_an_address_are_limited(strict: Client) -> None:
    answers = [strict.post("/api/polls", POLL, X_Forwarded_For="198.51.100.3") for _ in range(12)]
    assert {answer.status for answer in answers} == {201, 429}


def test_a_proxy_tells_that_it_was_tls(system: System, strict: Client) -> None:
    poll = created(system, one_vote_per="browser")
    plain = voted(strict, poll, "192.0.2.1")
    assert "Secure" not in plain.headers["Set-Cookie"]
    behind_tls = voted(strict, poll, "192.0.2.1", X_Forwarded_Proto="https")
    assert "Secure" in behind_tls.headers["Set-Cookie"]
    assert "Secure" not in voted(system.client, poll, "192.0.2.1", X_Forwarded_Proto="https").headers["Set-Cookie"]


def test_a_named_origin_may_read(strict: Client) -> None:
    for path in ("/api/leaderboard", "/nothing/here"):
        answer = strict.get(path, Origin=ORIGIN)
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"
        assert answer.headers["Vary"] == "Origin"
    foreign = strict.get("/api/leaderboard", Origin="https://evil.example")
    assert foreign.headers["Access-Control-Allow-Origin"] is None
    assert foreign.headers["Vary"] == "Origin"


def test_a_preflight(strict: Client) -> None:
    answer = strict.request(
        "OPTIONS", "/api/polls", headers={"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    )
    assert answer.status == 204
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert "Idempotency-Key" in answer.headers["Access-Control-Allow-Headers"]
    foreign = strict.request("OPTIONS", "/api/polls", headers={"Origin": "https://evil.example"})
    assert foreign.headers["Access-Control-Allow-Methods"] is None


def test_nobody_else_may_where_no_origin_is_named(system: System) -> None:
    answer = system.client.get("/api/leaderboard", Origin=ORIGIN)
    assert answer.headers["Access-Control-Allow-Origin"] is None


def test_several_processes_share_a_port_and_are_started_again(system: System) -> None:
    system.spawn("api", under="api-two", options=("--processes", "2"))
    system.until_ready(["api-two"])
    until(lambda: len(system.children("api-two")) == 2, "both processes run")
    first = system.children("api-two")[0]
    os.kill(first, signal.SIGKILL)
    until(lambda: len(system.children("api-two")) == 2 and first not in system.children("api-two"), "it runs again")
    with system.client_of("api-two") as client:
        assert until(lambda: answered(client), "the port answers") == 200
    system.end("api-two")


def answered(client: Client) -> int | None:
    try:
        return client.get("/livez").status
    except OSError:
        return None


def test_a_port_that_is_taken_is_named(system: System) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for options in ((), ("--processes", "2")):
            done = system.try_command("api", *options, PORT=str(taken.getsockname()[1]))
            assert done.returncode == 1
            assert "PORT" in done.stdout + done.stderr
            assert "Traceback" not in done.stdout + done.stderr


def test_a_stop_lets_what_is_under_way_end(system: System) -> None:
    poll = created(system)
    system.spawn("api", under="api-stopped")
    system.until_ready(["api-stopped"])
    answers: list[Answer] = []

    def vote_until_refused() -> None:
        with system.client_of("api-stopped") as client:
            while True:
                try:
                    answers.append(client.post(f"/api/polls/{poll['id']}/vote", {"option": "a"}))
                except ConnectionRefusedError:
                    return
                except OSError:
                    continue

    voters = [threading.Thread(target=vote_until_refused) for _ in range(4)]
    for voter in voters:
        voter.start()
    until(lambda: len(answers) > 200, "votes are under way")
    system.end("api-stopped")
    for voter in voters:
        voter.join(30)
    accepted = sum(answer.status == 202 for answer in answers)
    assert {answer.status for answer in answers} == {202}
    path = f"/api/polls/{poll['id']}"
    until(lambda: system.client.get(path).expect(200)["total_votes"] >= accepted, "each accepted vote is counted")
