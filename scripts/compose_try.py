"""What a user does with the system that runs: creates a poll, votes, watches the vote arrive, looks at the tools.

Used by scripts/compose-check, which runs it inside our own image: Tornado and the standard library are all it needs.
Prints `PASS what` or `FAIL what: why` for each step, and `POLL id` for the runs after the first. Exit status 1 where
a step failed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest, HTTPResponse
from tornado.websocket import WebSocketClientConnection, websocket_connect

QUESTION = "What is your favorite programming language?"
OPTIONS = ["JavaScript", "Python", "Java"]
PATIENCE = 60.0
"""Seconds that a step may take on a slow machine."""

CREATED = "POST /api/polls is 201"

Step = Callable[[], Awaitable[None]]


class Failed(Exception):
    """A step did not see what it should; the text says what it saw instead."""


def expect(condition: bool, seen: object) -> None:
    if not condition:
        raise Failed(str(seen)[:600])


async def fetch(url: str, **options: Any) -> HTTPResponse:
    """An answer of any status. `json_body` is sent as JSON."""
    if "json_body" in options:
        options["body"] = json.dumps(options.pop("json_body"))
        options["headers"] = {"Content-Type": "application/json"} | options.get("headers", {})
    options.setdefault("request_timeout", 20)
    return await AsyncHTTPClient().fetch(HTTPRequest(url, **options), raise_error=False)


async def until(read: Callable[[], Awaitable[Any]], fits: Callable[[Any], bool]) -> Any:
    """What `read` gave as soon as it `fits`, asked anew all the while."""
    deadline = time.monotonic() + PATIENCE
    seen: object = None
    while time.monotonic() < deadline:
        try:
            seen = await read()
            if fits(seen):
                return seen
        except (OSError, HTTPClientError) as error:
            seen = error
        await asyncio.sleep(0.2)
    raise Failed(f"still not after {PATIENCE:.0f} s: {str(seen)[:600]}")


class Socket:
    """A WebSocket whose frames are all kept: what was pushed before an answer is not passed over."""

    def __init__(self, connection: WebSocketClientConnection) -> None:
        self._connection = connection
        self._frames: list[dict[str, Any]] = []

    async def send(self, **message: Any) -> None:
        await self._connection.write_message(json.dumps(message))

    async def frame(self, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first frame since the beginning that fits."""
        for known in self._frames:
            if fits(known):
                return known
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    text = await self._connection.read_message()
                    expect(text is not None, f"the socket was closed: {self._connection.close_code}")
                    self._frames.append(json.loads(text or "null"))
                    if fits(self._frames[-1]):
                        return self._frames[-1]
        except TimeoutError as error:
            raise Failed(f"no such frame, but {self._frames[-3:]}") from error


class Visit:
    """One visitor's steps; each may rely on those before it."""

    def __init__(self, api: str, flower: str, pgadmin: str) -> None:
        self.api, self.flower, self.pgadmin = f"http://{api}", f"http://{flower}", f"http://{pgadmin}"
        self.address = f"ws://{api}/"
        self.poll = ""
        self.socket: Socket | None = None

    async def poll_now(self) -> dict[str, Any]:
        answer = await fetch(f"{self.api}/api/polls/{self.poll}")
        expect(answer.code == 200, f"{answer.code} {answer.body!r}")
        return dict(json.loads(answer.body))

    async def is_ready(self) -> None:
        await until(lambda: fetch(f"{self.api}/readyz"), lambda answer: answer.code == 200)

    async def page_is_shown(self) -> None:
        answer = await fetch(f"{self.api}/")
        expect(answer.code == 200 and "text/html" in answer.headers["Content-Type"], answer.code)

    async def create(self) -> None:
        answer = await fetch(
            f"{self.api}/api/polls", method="POST", json_body={"question": QUESTION, "options": OPTIONS}
        )
        expect(answer.code == 201, f"{answer.code} {answer.body!r}")
        self.poll = json.loads(answer.body)["id"]
        print("POLL", self.poll)

    async def open_socket(self) -> None:
        self.socket = Socket(await websocket_connect(self.address, connect_timeout=PATIENCE))
        await self.socket.frame(lambda found: found["type"] == "welcome")
        await self.socket.frame(lambda found: found["type"] == "leaderboard")
        await self.socket.send(type="subscribe", poll=self.poll)
        await self.socket.frame(lambda found: found["type"] == "results")

    async def vote(self) -> None:
        answer = await fetch(
            f"{self.api}/api/polls/{self.poll}/vote", method="POST", json_body={"option": "JavaScript"}
        )
        expect(answer.code == 202, f"{answer.code} {answer.body!r}")

    async def vote_and_wait(self) -> None:
        answer = await fetch(
            f"{self.api}/api/polls/{self.poll}/vote",
            method="POST",
            json_body={"option": "JavaScript"},
            headers={"Prefer": "wait=10"},
        )
        expect(answer.code == 200 and json.loads(answer.body)["status"] == "counted", f"{answer.code} {answer.body!r}")

    async def vote_by_socket(self) -> None:
        assert self.socket is not None
        await self.socket.send(type="vote", poll=self.poll, option="Python", ref=7)
        answer = await self.socket.frame(lambda found: found.get("ref") == 7)
        expect(answer.get("status") == "accepted", answer)

    def counted(self, votes: int) -> Step:
        async def step() -> None:
            await until(self.poll_now, lambda poll: poll["total_votes"] == votes)

        return step

    def pushed(self, votes: int) -> Step:
        async def step() -> None:
            assert self.socket is not None
            await self.socket.frame(lambda found: found["type"] == "results" and found["total_votes"] == votes)

        return step

    async def is_leading(self) -> None:
        async def read() -> Any:
            return json.loads((await fetch(f"{self.api}/api/leaderboard")).body)

        await until(read, lambda board: any(entry["poll_id"] == self.poll for entry in board["entries"]))

    async def flower_shows_worker(self) -> None:
        async def read() -> Any:
            return json.loads((await fetch(f"{self.flower}/api/workers?refresh=1")).body or b"{}")

        await until(read, lambda workers: len(workers) >= 1)

    async def flower_shows_tasks(self) -> None:
        async def read() -> Any:
            return json.loads((await fetch(f"{self.flower}/api/tasks?limit=200")).body or b"{}")

        def counted(tasks: dict[str, Any]) -> bool:
            return any("record_votes" in (t["name"] or "") and t["state"] == "SUCCESS" for t in tasks.values())

        await until(read, counted)

    async def pgadmin_opens(self) -> None:
        """Logs in as the README says, finds the server registered, and connects without being asked a password."""
        jar: dict[str, str] = {}

        async def step(path: str, **options: Any) -> HTTPResponse:
            options["headers"] = {"Cookie": "; ".join(f"{k}={v}" for k, v in jar.items())} | options.get("headers", {})
            answer = await fetch(self.pgadmin + path, follow_redirects=False, **options)
            for line in answer.headers.get_list("Set-Cookie"):
                name, _, value = line.split(";", 1)[0].partition("=")
                jar[name] = value
            return answer

        def token(answer: HTTPResponse, pattern: str) -> str:
            found = re.search(pattern, answer.body.decode())
            expect(found is not None, f"{answer.code}: no token in {answer.request.url}")
            return found[1] if found else ""

        page = await step("/login")
        form = {
            "email": "admin@example.com",
            "password": "admin",
            "internal_button": "Login",
            "csrf_token": token(page, r'"csrfToken": "([^"]+)"'),
        }
        entered = await step("/authenticate/login", method="POST", body=urlencode(form))
        expect(entered.code == 302 and "login" not in entered.headers["Location"], entered.headers)
        await step("/browser/")
        scripts = await step("/browser/js/utils.js")
        headers = {
            "X-pgA-CSRFToken": token(scripts, r"pgAdmin\['csrf_token'\] = '([^']+)'"),
            "Content-Type": "application/json",
        }
        servers = json.loads((await step("/browser/server/nodes/1/", headers=headers)).body)["result"]
        expect([server["label"] for server in servers] == ["Polling"], servers)
        joined = await step(f"/browser/server/connect/1/{servers[0]['_id']}", method="POST", body="{}", headers=headers)
        expect(joined.code == 200 and json.loads(joined.body)["data"]["connected"], f"{joined.code} {joined.body!r}")

    def first(self) -> list[tuple[str, Step]]:
        return [
            ("GET /readyz is 200", self.is_ready),
            ("GET / is the page", self.page_is_shown),
            (CREATED, self.create),
            ("the socket says welcome, the leaderboard, the results", self.open_socket),
            ("POST vote is 202", self.vote),
            ("GET shows the vote counted", self.counted(1)),
            ("the socket shows it", self.pushed(1)),
            ("a vote on the socket is accepted", self.vote_by_socket),
            ("GET shows it counted", self.counted(2)),
            ("the socket shows it", self.pushed(2)),
            ("Prefer: wait answers counted", self.vote_and_wait),
            ("the leaderboard has the poll", self.is_leading),
            ("Flower shows a worker", self.flower_shows_worker),
            ("Flower shows record_votes succeeded", self.flower_shows_tasks),
            ("PgAdmin: login, the server is registered and opens", self.pgadmin_opens),
        ]

    def again(self, poll: str, votes: int) -> list[tuple[str, Step]]:
        self.poll = poll
        return [
            ("GET /readyz is 200", self.is_ready),
            (f"the {votes - 1} votes are still there", self.counted(votes - 1)),
            ("POST vote is 202", self.vote),
            ("GET shows the vote counted", self.counted(votes)),
            ("the leaderboard has the poll", self.is_leading),
            ("Flower shows a worker", self.flower_shows_worker),
            ("PgAdmin: login, the server is registered and opens", self.pgadmin_opens),
        ]


async def walk(visit: Visit, steps: list[tuple[str, Step]]) -> int:
    """The exit status. A step that failed stops the others only where it left them no poll to go on with."""
    failed = 0
    for what, step in steps:
        try:
            await step()
        except (Failed, OSError, HTTPClientError, LookupError, ValueError, AssertionError) as error:
            print(f"FAIL  {what}: {type(error).__name__}: {error}", flush=True)
            failed = 1
        else:
            print(f"PASS  {what}", flush=True)
        if what == CREATED and not visit.poll:
            break
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    for part in ("api", "flower", "pgadmin"):
        parser.add_argument(f"--{part}", required=True, metavar="HOST:PORT")
    runs = parser.add_subparsers(dest="run", required=True)
    runs.add_parser("first")
    again = runs.add_parser("again")
    again.add_argument("poll")
    again.add_argument("votes", type=int, help="how many there are once this run has voted")
    given = parser.parse_args()
    visit = Visit(given.api, given.flower, given.pgadmin)
    steps = visit.first() if given.run == "first" else visit.again(given.poll, given.votes)
    return asyncio.run(walk(visit, steps))


if __name__ == "__main__":
    sys.exit(main())
