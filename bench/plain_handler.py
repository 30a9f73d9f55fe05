"""Measuring: the limit of the door: Tornado handlers that answer what it answers, and do nothing else.

A vote is parsed as JSON and answered; a poll is answered with so many bytes that are ready, or with 304; a WebSocket
says what it hears. Run as `python -m bench.plain_handler PORT BYTES`; it says `ready` when it listens, and ends with
its standard input. Several may listen at one port.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from typing import Any

import tornado.web
import tornado.websocket
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


class Poll(tornado.web.RequestHandler):
    """The same bytes for everybody, and nothing for who knows them."""

    def initialize(self, body: bytes) -> None:
        self._body = body

    def get(self, _poll_id: str) -> None:
        self.set_header("ETag", '"1"')
        if self.request.headers.get("If-None-Match"):
            self.set_status(304)
            self.finish()
            return
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(self._body)

    def compute_etag(self) -> str | None:
        # Tornado would hash the body of each answer.
        return None


class Echo(tornado.websocket.WebSocketHandler):
    """Says what it hears."""

    def check_origin(self, origin: str) -> bool:
        return True

    def open(self, *_args: str, **_kwargs: str) -> None:
        self.set_nodelay(True)

    def on_message(self, message: str | bytes) -> None:
        self.write_message(message)


async def main(port: int, size: int) -> None:
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    routes: list[Any] = [
        (r"/api/polls/([0-9a-z]+)/vote", Vote),
        (r"/api/polls/([0-9a-z]+)", Poll, {"body": b"x" * size}),
        (r"/", Echo),
    ]
    application = tornado.web.Application(routes, log_function=lambda _: None)
    application.listen(port, "127.0.0.1", backlog=1024, reuse_port=True)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
