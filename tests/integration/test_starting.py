"""The integration tests: whatever is down at the start is waited for, with a word, and then all goes on by itself."""

from __future__ import annotations

import subprocess

from support.polls import counted, create, decided, vote
from support.system import POLLING, STARTED, System
from support.waiting import until

WAITING = {
    "api": "the vote log's topic in PostgreSQL",
    "bridge": "waiting for PostgreSQL",
    "worker": "no Kafka broker answered",
    "beat": "no Kafka broker answered",
}


def test_all_parts_wait_for_all_servers(whole: System) -> None:
    poll = create(whole.client)
    for part in STARTED:
        whole.end(part)
    began = {part: len(whole.log_of(part)) for part in STARTED}
    for server in whole.servers.all:
        server.stop()
    for part in STARTED:
        whole.spawn(part)
    steps = [
        subprocess.Popen(
            [*POLLING, *words], env=whole.variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for words in (["migrate"], ["topics", "create"])
    ]
    try:
        until(lambda: _lives(whole), "the door lives")
        assert whole.client.get("/readyz").json == {"ready": False, "away": ["kafka", "postgres", "redis"]}
        assert whole.client.get("/api/polls").code == "store_unavailable"
        for part, words in WAITING.items():
            until(
                lambda part=part, words=words: words in whole.log_of(part)[began[part] :],  # type: ignore[misc]
                f"{part} says for what it waits",
            )
        for part in STARTED:
            assert whole.alive(part), f"{part} did not wait"
        assert [step.poll() for step in steps] == [None, None]
        for server in reversed(whole.servers.all):
            server.start()
        whole.until_ready()
        for step in steps:
            output, _ = step.communicate(timeout=90)
            assert step.returncode == 0, output
            assert "waiting" in output
    finally:
        for step in steps:
            if step.poll() is None:
                step.kill()
                step.communicate()
    until(
        lambda: vote(whole.client, poll, Idempotency_Key="first").status == 202,
        "the log takes a vote: a broker that has just started may not know its topics",
    )
    counted(whole.client, poll, 1, 0)
    for part in STARTED:
        assert "Traceback" not in whole.log_of(part)[began[part] :], part


def _lives(system: System) -> bool:
    try:
        return system.client.get("/livez").status == 200
    except OSError:
        return False


def test_a_cookie_survives_a_restart_of_everything(whole: System) -> None:
    """The key that signs is kept in PostgreSQL."""
    poll = create(whole.client, one_vote_per="browser", allow_change=False)
    answer = whole.client.post(f"{poll.path}/vote", {"option": "1"})
    cookie = answer.headers["Set-Cookie"].partition(";")[0]
    whole.restart("api")
    again = whole.client.post(f"{poll.path}/vote", {"option": "2"}, Cookie=cookie)
    assert again.json["vote_id"] == answer.json["vote_id"], "it is the same voter"
    if again.status == 202:
        # Redis did not tell the new door of the first vote within 50 ms: then the count refuses the second.
        until(lambda: decided(whole.client, poll, answer.json["vote_id"])["rejected"], "the second vote is rejected")
    else:
        assert (again.status, again.code) == (409, "already_voted")
    counted(whole.client, poll, 1, 0)
