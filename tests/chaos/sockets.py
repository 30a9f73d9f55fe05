"""Chaos: sockets that live through it all: one to watch and one to vote at each door, in a loop of their own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from support.load import ballot_of
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, websocket_connect

from chaos.evidence import Tally
from chaos.ground import OPTIONS, Grounds
from chaos.history import History, Operation
from chaos.voters import PATIENCE, Keyed, Voters

LEAVING = 6.0

_GONE = (OSError, StreamClosedError, WebSocketClosedError, HTTPClientError, asyncio.TimeoutError)


class Sockets:
    """`seen` has what each door's watcher saw last of each poll; `went_back` each revision that was lower than one
    before it at the same door, across reconnects as well. `waiting` is how many votes have no answer yet."""

    def __init__(self, history: History, voters: Voters, grounds: Grounds, doors: Callable[[], list[str]]) -> None:
        self._history = history
        self._voters = voters
        self._grounds = grounds
        self._doors = doors
        self.seen: dict[str, dict[str, Tally]] = {}
        self.finals: dict[str, Tally] = {}
        self.went_back: list[str] = []
        self.frames = 0
        self.reconnects = 0
        self._voting = True
        self.waiting = 0
        self._ended = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="sockets", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop_voting(self) -> None:
        self._voting = False

    def stop(self) -> None:
        self._ended = True
        self._thread.join(30)
        if self._failure is not None:
            raise self._failure

    @property
    def failure(self) -> BaseException | None:
        """What ended the sockets' loop, if anything did."""
        return self._failure

    def _run(self) -> None:
        try:
            asyncio.run(self._live())
        except BaseException as error:  # noqa: BLE001 (raised again by `stop`)
            self._failure = error

    async def _live(self) -> None:
        tasks = [asyncio.create_task(work(url)) for url in self._doors() for work in (self._watch, self._vote)]
        while not self._ended:
            await asyncio.sleep(0.1)
            for task in tasks:
                if task.done():
                    task.result()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, url: str) -> None:
        while True:
            try:
                connection = await _open(url)
                await self._watch_one(url, connection)
            except _GONE:
                self.reconnects += 1
            await asyncio.sleep(random.uniform(0.2, 1.0))

    async def _watch_one(self, url: str, connection: WebSocketClientConnection) -> None:
        watched: set[str] = set()
        reading = asyncio.ensure_future(connection.read_message())
        try:
            while True:
                for ground in list(self._grounds.all):
                    if ground.id not in watched:
                        watched.add(ground.id)
                        await connection.write_message(json.dumps({"type": "subscribe", "poll": ground.id}))
                done, _ = await asyncio.wait({reading}, timeout=0.5)
                if done:
                    text = reading.result()
                    if text is None:
                        raise StreamClosedError
                    self._on_frame(url, json.loads(text), watched)
                    reading = asyncio.ensure_future(connection.read_message())
        finally:
            reading.cancel()
            await _leave(connection)

    def _on_frame(self, url: str, frame: dict[str, Any], watched: set[str]) -> None:
        self.frames += 1
        if frame["type"] == "error" and frame["code"] == "store_unavailable":
            watched.clear()  # subscribes again: PostgreSQL was away
        if frame["type"] != "results":
            return
        counts = tuple(option["votes"] for option in frame["options"])
        new = Tally(counts, frame["total_votes"], frame["revision"])
        seen = self.seen.setdefault(url, {})
        old = seen.get(frame["poll_id"])
        if old is not None and new.revision < old.revision:
            self.went_back.append(f"{url}, poll {frame['poll_id']}: from {old.revision} to {new.revision}")
        if old is not None and new.revision == old.revision and new != old:
            self.went_back.append(f"{url}, poll {frame['poll_id']}: revision {new.revision} is {old} and {new}")
        seen[frame["poll_id"]] = new
        if frame["final"]:
            self.finals.setdefault(frame["poll_id"], new)

    async def _vote(self, url: str) -> None:
        while True:
            try:
                connection = await _open(url)
                try:
                    while True:
                        await self._vote_once(connection)
                        await asyncio.sleep(random.uniform(0, 0.2))
                finally:
                    await _leave(connection)
            except _GONE:
                await asyncio.sleep(random.uniform(0.2, 1.0))

    async def _vote_once(self, connection: WebSocketClientConnection) -> None:
        while not self._voting:
            await asyncio.sleep(1)
        ground = random.choice(self._grounds.plain)
        key, option, ref = uuid.uuid4().hex, random.randint(1, len(OPTIONS)), uuid.uuid4().hex
        began = time.monotonic()
        frame: dict[str, Any] | None = None
        self.waiting += 1
        vote = {"type": "vote", "poll": ground.id, "option": str(option), "ref": ref, "idempotency_key": key}
        try:
            async with asyncio.timeout(PATIENCE):
                await connection.write_message(json.dumps(vote))
                while frame is None or frame.get("ref") != ref:
                    text = await connection.read_message()
                    if text is None:
                        raise StreamClosedError
                    frame = json.loads(text)
        except _GONE:
            frame = None
            raise
        finally:
            self.waiting -= 1
            self._note(ground.id, ground.of_key(key), option, frame, began)
            if frame is None or frame["type"] == "error":
                self._voters.retries.append(Keyed(ground, key, option, time.monotonic() + 1))

    def _note(self, poll: str, ballot: bytes, option: int, frame: dict[str, Any] | None, began: float) -> None:
        ended = time.monotonic()
        if frame is None:
            operation = Operation("socket", poll, ballot, option, "unknown", "no_answer", began, ended)
        elif frame["type"] == "vote":
            if ballot_of(frame["vote_id"]) != ballot:
                raise AssertionError("the vote id names another ballot")
            operation = Operation("socket", poll, ballot, option, "ok", None, began, ended)
        else:
            outcome = "unknown" if frame["code"] in ("log_unavailable", "store_unavailable") else "fail"
            operation = Operation("socket", poll, ballot, option, outcome, frame["code"], began, ended)  # type: ignore[arg-type]
        self._history.add([operation])


async def _open(url: str) -> WebSocketClientConnection:
    address = url.replace("http", "ws", 1) + "/"
    return await websocket_connect(HTTPRequest(address, connect_timeout=PATIENCE, request_timeout=PATIENCE))


async def _leave(connection: WebSocketClientConnection) -> None:
    """Closes, and waits until that is done; not for long, for the other end may stand still."""
    connection.close()
    with contextlib.suppress(*_GONE):
        async with asyncio.timeout(LEAVING):
            while await connection.read_message() is not None:
                pass
