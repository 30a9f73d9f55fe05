"""Measuring: the limit of accepting: a Tornado handler that parses the JSON and answers, and does nothing else.

Run as `python -m bench.plain_handler PORT`; it says `ready` when it listens, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import tornado.web
import uvloop


class Vote(tornado.web.RequestHandler):
    """Answers what the real door answers, as far as the bytes go."""

    def post(self, poll_id: str) -> None:
        vote = json.loads(self.request.body)
        self.set_status(202)
        self.set_header("Content-Type", "application/json; charset=utf-8")
        answer = {
            "vote_id": "A" * 32,
            "poll_id": poll_id,
            "option": {"id": "1", "text": vote["option"]},
            "status": "accepted",
        }
        self.finish(json.dumps(answer))


async def main(port: int) -> None:
    routes: list[Any] = [(r"/api/polls/([0-9a-z]+)/vote", Vote)]
    tornado.web.Application(routes, log_function=lambda _: None).listen(port, "127.0.0.1", backlog=1024)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
