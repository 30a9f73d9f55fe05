"""The integration tests: one vote's whole way, on both of Celery's brokers, and the tasks as Flower shows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from support.polls import accepted, batch, counted, create, decided, final
from support.sockets import socket
from support.system import System
from support.waiting import until

TASK_PARTS = ("bridge", "worker", "beat", "flower")


async def whole_way(system: System) -> None:
    """Accept, log, task, store, tell, show: an HTTP vote, a socket's vote and a batch, seen by everybody."""
    client = system.client
    poll = create(client, "Tea", "Coffee")
    async with socket(f"{system.ws_url}?poll={poll.id}") as one, socket(system.ws_url) as other:
        await one.hear_of("results")
        vote_id = accepted(client, poll, "Tea")
        await one.hear_of("results", lambda frame: frame["total_votes"] == 1)
        assert decided(client, poll, vote_id)["status"] == "counted"
        answer = await other.answer_to(type="vote", poll=poll.id, option="Coffee")
        assert answer["status"] == "accepted"
        batch(client, poll, [{"option": "Coffee"}] * 3000).expect(202)
        shown = await one.hear_of("results", lambda frame: frame["total_votes"] == 3002)
        read = counted(client, poll, 1, 3001)
        assert shown["revision"] == read["revision"]
        assert shown["options"] == read["options"]

        def leads(frame: Any) -> bool:
            return any(e["poll_id"] == poll.id and e["votes"] == 3001 for e in frame["entries"])

        await other.hear_of("leaderboard", leads)
        until(lambda: leads(client.get("/api/leaderboard").expect(200)), "HTTP shows the same")
        client.post(f"{poll.path}/close", **poll.admin).expect(200)
        await one.hear_of("results", lambda frame: frame["final"])
        await other.hear_of("leaderboard", lambda frame: not leads(frame))
    assert final(client, poll)["total_votes"] == 3002
    system.command("recount", poll.id)


async def test_on_kafka(whole: System) -> None:
    await whole_way(whole)


@pytest.fixture
def on_redis(whole: System) -> Iterator[System]:
    """Celery's parts restarted on Redis, and then on Kafka again."""
    for part in TASK_PARTS:
        whole.kill(part)
        whole.spawn(part, CELERY_BROKER_URL=url_of_redis(whole))
    whole.until_ready()
    yield whole
    for part in TASK_PARTS:
        whole.kill(part)


def url_of_redis(system: System) -> str:
    assert system.servers.redis is not None
    return f"redis://127.0.0.1:{system.servers.redis.port}/1"


async def test_on_redis(on_redis: System) -> None:
    await whole_way(on_redis)
    poll = create(on_redis.client)
    for _ in range(2):
        on_redis.kill("worker")
        batch(on_redis.client, poll, [{"option": "1"}] * 500).expect(202)
        on_redis.spawn("worker", CELERY_BROKER_URL=url_of_redis(on_redis))
    counted(on_redis.client, poll, 1000, 0)


def test_flower_shows_every_task_in_its_state(whole: System) -> None:
    with whole.client_of("flower") as flower:
        poll = create(whole.client)
        for votes in (1, 2, 3):
            accepted(whole.client, poll)
            counted(whole.client, poll, votes, 0)

        def tasks() -> dict[str, Counter[str]]:
            states: dict[str, Counter[str]] = {}
            for task in flower.get("/api/tasks?limit=500").json.values():
                states.setdefault(task["name"], Counter())[task["state"]] += 1
            return states

        def seen() -> bool:
            accepted(whole.client, poll)  # a Flower that has only just started heard nothing of those before
            states = tasks()
            wanted = ("polling.record_votes", "polling.refresh_leaderboard", "polling.announce_closed")
            return all(states.get(name, Counter())["SUCCESS"] for name in wanted)

        until(seen, "Flower shows tasks that succeeded")
        until(lambda: set(tasks()["polling.record_votes"]) == {"SUCCESS"}, "every batch succeeded")
        for name, found in tasks().items():
            # Revoked: what beat sent while no worker was there, and was too old when one came.
            assert set(found) <= {"SUCCESS", "PENDING", "RECEIVED", "STARTED", "REVOKED"}, f"{name}: {found}"
        workers = until(lambda: flower.get("/api/workers?refresh=1").json, "Flower knows the worker")
        assert list(workers) == ["worker@tests"]
        assert {queue["name"] for queue in workers["worker@tests"]["active_queues"]} == {"votes-to-count", "periodic"}
        assert flower.get("/broker").status == 200
        assert flower.get("/tasks").status == 200
