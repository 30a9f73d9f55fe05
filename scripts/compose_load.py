"""Voters who go on while servers are killed: each vote has a key and is sent again until it is answered 202.

Used by `scripts/compose-check cluster`, which runs it inside our own image. Says `READY` when votes flow, votes until
its standard input ends, then waits until all is counted, and prints `PASS what` or `FAIL what: why`, with the longest
pause between two acknowledged votes. Exit status 1 where a step failed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
import uuid
from collections import Counter
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest, HTTPResponse

VOTERS = 4
PAUSE = 0.05
LIMIT = 240.0
"""Seconds that the load may run, and that its end may take."""


async def ask(url: str, value: Any = None, **headers: str) -> HTTPResponse:
    """A GET, or a POST of JSON. Any status is an answer."""
    request = HTTPRequest(
        url,
        method="GET" if value is None else "POST",
        body=None if value is None else json.dumps(value),
        headers={
            "Content-Type": "application/json",
            **{name.replace("_", "-"): text for name, text in headers.items()},
        },
        request_timeout=20,
    )
    return await AsyncHTTPClient().fetch(request, raise_error=False)


class Load:
    """Votes on a poll of its own."""

    def __init__(self, api: str) -> None:
        self.api = f"http://{api}/api/polls"
        self.poll = ""
        self.ended = asyncio.Event()
        self.accepted = 0
        self.refused: Counter[int] = Counter()
        """How often a vote had to be sent again, by the status that was answered; 0 where there was no answer."""
        self.longest = 0.0
        self._last = time.monotonic()

    def begin(self) -> None:
        """From now on `refused` and `longest` are counted anew."""
        self.refused.clear()
        self.longest, self._last = 0.0, time.monotonic()

    async def create(self) -> None:
        answer = await ask(self.api, {"question": "Does it go on?", "options": ["Yes", "No"]})
        assert answer.code == 201, answer.body
        self.poll = json.loads(answer.body)["id"]
        self._last = time.monotonic()

    async def vote_until_ended(self) -> None:
        while not self.ended.is_set():
            await self.vote(uuid.uuid4().hex)
            await asyncio.sleep(PAUSE)

    async def vote(self, key: str) -> None:
        while True:
            try:
                answer = await ask(f"{self.api}/{self.poll}/vote", {"option": "Yes"}, Idempotency_Key=key)
                status = answer.code
            except (OSError, HTTPClientError):
                status = 0
            if status == 202:
                now = time.monotonic()
                self.accepted += 1
                self.longest = max(self.longest, now - self._last)
                self._last = now
                return
            self.refused[status] += 1
            await asyncio.sleep(0.2)

    async def counted(self) -> int:
        total = -1
        deadline = time.monotonic() + LIMIT
        while total != self.accepted and time.monotonic() < deadline:
            total = json.loads((await ask(f"{self.api}/{self.poll}")).body)["total_votes"]
            await asyncio.sleep(0.5)
        return total


async def run(api: str) -> int:
    """The exit status."""
    load = Load(api)
    await load.create()
    voters = [asyncio.create_task(load.vote_until_ended()) for _ in range(VOTERS)]
    while load.accepted < 20:
        await asyncio.sleep(0.1)
    print("READY", flush=True)
    try:
        async with asyncio.timeout(LIMIT):
            await asyncio.to_thread(sys.stdin.read)
    finally:
        load.ended.set()
    await asyncio.gather(*voters)
    print(f"{load.accepted} votes accepted, {load.refused.total()} sent again, the longest pause {load.longest:.1f} s")
    total = await load.counted()
    if total == load.accepted:
        print(f"PASS  all {total} votes that were accepted are counted, each once", flush=True)
        return 0
    print(f"FAIL  {load.accepted} votes were accepted, and {total} are counted", flush=True)
    return 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--api", required=True, metavar="HOST:PORT")
    return asyncio.run(run(parser.parse_args().api))


if __name__ == "__main__":
    sys.exit(main())
