"""Voters and watchers of a scaled system: how evenly they are spread, and what they notice of a stop or a kill.

Used by `scripts/compose-check scaled`, which runs it inside our own image. Opens sockets, votes by HTTP and by socket,
and prints what each container had of it. Then says `READY` and votes on; each line on its standard input ends a phase,
of which it prints what voters and sockets noticed. Prints `PASS what` or `FAIL what`; exit status 1 where one failed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Any

from compose_load import Load, ask
from tornado.httpclient import AsyncHTTPClient, HTTPClientError
from tornado.websocket import WebSocketClientConnection, websocket_connect

SOCKETS = 80
VOTES = 4000
VOTES_A_SOCKET = 10
VOTERS = 32
STEADY_VOTERS = 8
"""Those who vote on while containers end: slow enough for the limits of one address."""

PATIENCE = 120.0
"""Seconds that a step may take on a slow machine."""

LEAST = 0.6
"""What the least busy container must have, as a part of an even share."""


class Watcher:
    """A socket on the poll, which comes back when it is closed."""

    def __init__(self, address: str, poll: str) -> None:
        self._address, self._poll = address, poll
        self._connection: WebSocketClientConnection | None = None
        self._answer: asyncio.Future[str] | None = None
        self.total = -1
        self.codes: list[int | None] = []

    async def run(self) -> None:
        while True:
            try:
                connection = await websocket_connect(self._address, connect_timeout=20)
            except (OSError, HTTPClientError):
                await asyncio.sleep(0.5)
                continue
            await connection.write_message(json.dumps({"type": "subscribe", "poll": self._poll}))
            self._connection = connection
            while (text := await connection.read_message()) is not None:
                self._take(json.loads(text))
            self._connection = None
            self.codes.append(connection.close_code)
            await asyncio.sleep(0.5)

    async def vote(self) -> None:
        assert self._connection is not None
        self._answer = asyncio.get_running_loop().create_future()
        await self._connection.write_message(json.dumps({"type": "vote", "poll": self._poll, "option": "No", "ref": 1}))
        status = await asyncio.wait_for(self._answer, PATIENCE)
        assert status == "accepted", status

    def _take(self, frame: dict[str, Any]) -> None:
        if frame["type"] == "results":
            self.total = frame["total_votes"]
        elif "ref" in frame and self._answer is not None:
            self._answer.set_result(frame.get("status", "error"))


class Spread:
    """What each container did, by its own metrics."""

    def __init__(self, containers: dict[str, list[str]]) -> None:
        self._containers = containers

    async def of(self, part: str, metric: str) -> list[float]:
        """The metric of each container, all its labels together; -1 of one that does not answer."""
        return list(await asyncio.gather(*(self._read(at, metric) for at in self._containers[part])))

    @staticmethod
    async def _read(at: str, metric: str) -> float:
        try:
            text = (await ask(f"http://{at}/metrics")).body.decode()
        except (OSError, HTTPClientError):
            return -1
        pattern = rf"^polling_{metric}(?:\{{[^}}]*\}})? (\S+)$"
        return sum(float(number) for number in re.findall(pattern, text, re.MULTILINE))


class Trial:
    def __init__(self, api: str, spread: Spread) -> None:
        self.api, self.spread = api, spread
        self.load = Load(api)
        self.watchers: list[Watcher] = []
        self.failed = 0

    def check(self, what: str, holds: bool) -> None:
        print(f"{'PASS' if holds else 'FAIL'}  {what}", flush=True)
        self.failed += not holds

    async def nobody_chooses_an_address(self) -> None:
        """Loopback is exempt from limits, and each address has limits of its own: neither can be claimed."""
        left = []
        for number in range(24):
            claimed = "127.0.0.1" if number == 0 else f"203.0.113.{number}"
            answer = await ask(self.load.api, {"question": "Who?", "options": ["I", "You"]}, X_Forwarded_For=claimed)
            found = re.search(r'"polls";r=(\d+)', answer.headers.get("RateLimit", ""))
            left.append(int(found[1]) if found else -1)
        # 24 polls over four containers, each of which knows of a quota of 120 and gives two a second back.
        print(f"new polls left to addresses that were claimed: {numbers(left)}")
        self.check("no X-Forwarded-For of a voter's own makes it exempt or another", -1 < min(left) < 117)

    async def open(self) -> None:
        self.watchers = [Watcher(f"ws://{self.api}/", self.load.poll) for _ in range(SOCKETS)]
        self._tasks = [asyncio.create_task(one.run()) for one in self.watchers]
        await self.until(lambda: all(one.total >= 0 for one in self.watchers))
        found = await self.spread.of("api", "sockets")
        print(f"sockets by API container: {numbers(found)}")
        self.check(f"{SOCKETS} sockets are spread evenly", sum(found) == SOCKETS and max(found) - min(found) <= 2)

    async def vote(self) -> None:
        started, before = time.monotonic(), self.load.accepted
        share = VOTES // VOTERS

        async def voter() -> None:
            for _ in range(share):
                await self.load.vote(uuid.uuid4().hex)

        async def by_socket(watcher: Watcher) -> None:
            for _ in range(VOTES_A_SOCKET):
                await watcher.vote()

        await asyncio.gather(*(voter() for _ in range(VOTERS)))
        seconds = time.monotonic() - started
        print(f"{self.load.accepted - before} votes by HTTP in {seconds:.1f} s, {again(self.load.refused)}")
        await asyncio.gather(*(by_socket(one) for one in self.watchers))
        self.load.accepted += SOCKETS * VOTES_A_SOCKET
        await self.all_is_counted_and_shown()
        for part, metric in (("api", "votes_accepted_total"), ("bridge", "batches_dispatched_total")):
            await self.is_even(part, metric)
        await self.is_even("worker", "votes_counted_total")

    async def is_even(self, part: str, metric: str) -> None:
        found = await self.spread.of(part, metric)
        print(f"{metric} by {part} container: {numbers(found)}")
        least = LEAST if part == "api" else 0.0
        self.check(f"all of {part} take part", min(found) > least * sum(found) / len(found))

    async def all_is_counted_and_shown(self) -> None:
        total = await self.load.counted()
        self.check(f"{self.load.accepted} votes accepted, {total} counted", total == self.load.accepted)
        await self.until(lambda: all(one.total == total for one in self.watchers))
        self.check("every socket shows them", all(one.total == total for one in self.watchers))

    async def phases(self) -> None:
        print("READY", flush=True)
        while name := (await asyncio.to_thread(sys.stdin.readline)).strip():
            load = self.load
            load.ended.clear()
            accepted = load.accepted
            load.begin()
            for one in self.watchers:
                one.codes.clear()
            voters = [asyncio.create_task(load.vote_until_ended()) for _ in range(STEADY_VOTERS)]
            await asyncio.to_thread(sys.stdin.readline)
            load.ended.set()
            await asyncio.gather(*voters)
            codes = [code for one in self.watchers for code in one.codes]
            closed = ", ".join(f"{codes.count(code)} with {code}" for code in sorted(set(codes), key=str)) or "none"
            print(f"{name}: {load.accepted - accepted} votes accepted, {again(load.refused)}")
            print(f"{name}: the longest pause {load.longest:.1f} s; sockets closed: {closed}")
            await self.all_is_counted_and_shown()
            await self.until_open()
            print(f"DONE {name}", flush=True)

    async def until_open(self) -> None:
        """Each socket is open again, at a container that knows it."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = await self.spread.of("api", "sockets")
            if min(found) >= 0 and sum(found) == SOCKETS:
                break
            await asyncio.sleep(1)
        print(f"sockets by API container: {numbers(found)}")
        self.check(f"{SOCKETS} sockets are open", sum(found) == SOCKETS)

    @staticmethod
    async def until(holds: Any) -> None:
        deadline = time.monotonic() + PATIENCE
        while not holds() and time.monotonic() < deadline:
            await asyncio.sleep(0.2)


def again(refused: Counter[int]) -> str:
    """How many votes were sent again, and why; 0 is a connection that broke."""
    why = ", ".join(f"{status}: {times}" for status, times in sorted(refused.items()))
    return f"{refused.total()} sent again{f' ({why})' if why else ''}"


def numbers(found: Sequence[float]) -> str:
    return " ".join(f"{number:g}" for number in found)


async def run(api: str, containers: dict[str, list[str]]) -> int:
    """The exit status."""
    trial = Trial(api, Spread(containers))
    await trial.load.create()
    await trial.nobody_chooses_an_address()
    await trial.open()
    await trial.vote()
    await trial.phases()
    return 1 if trial.failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--api", required=True, metavar="HOST:PORT", help="where the gateway is")
    for part in ("api", "bridge", "worker"):
        parser.add_argument(f"--{part}-at", required=True, nargs="+", metavar="HOST:PORT", help="its containers")
    given = parser.parse_args()
    AsyncHTTPClient.configure(None, max_clients=2 * VOTERS)  # 10 by default
    containers = {part: getattr(given, f"{part}_at") for part in ("api", "bridge", "worker")}
    return asyncio.run(run(given.api, containers))


if __name__ == "__main__":
    sys.exit(main())
