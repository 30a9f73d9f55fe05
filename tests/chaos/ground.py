"""Chaos: the polls that are voted in: of every policy, some that stay open and some that close meanwhile."""

from __future__ import annotations

import contextlib
import http.client
import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import psycopg
from support.http import Client

from polling.core import ballots

OPTIONS = ("ant", "bee", "cat", "dog")
CLOSES_AFTER = 12.0
"""Seconds that a poll that closes by time is open."""

BROKEN = (OSError, http.client.HTTPException)


class Ground(NamedTuple):
    """A poll to vote in. `key` is its own, by which ballots of keys and voters can be known beforehand."""

    id: str
    token: str
    key: bytes
    voters: bool
    change: bool

    @property
    def path(self) -> str:
        return f"/api/polls/{self.id}"

    def of_key(self, key: str) -> bytes:
        return ballots.of_key(self.key, key)

    def of_voter(self, voter: str) -> bytes:
        return ballots.of_voter(self.key, voter)


class Grounds:
    """All polls of a run. `plain`, `changing` and `first` stay open; `closing` is one that does not, or None."""

    def __init__(self, url: Callable[[], str], database_url: str, seed: int) -> None:
        self._url = url
        self._database_url = database_url
        self._chance = random.Random(f"{seed} grounds")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._replace_for_ever, name="grounds", daemon=True)
        self.plain = [self.make() for _ in range(3)]
        self.changing = [self.make(one_vote_per="voter") for _ in range(2)]
        self.first = [self.make(one_vote_per="voter", allow_change=False)]
        self.closing: Ground | None = None
        self.all: list[Ground] = [*self.plain, *self.changing, *self.first]

    def start(self) -> None:
        """Polls that close come and go from now on."""
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join(60)

    def make(self, **fields: object) -> Ground:
        """A new poll. Raises where the API or PostgreSQL cannot just now."""
        with Client(self._url(), patience=10) as client:
            answer = client.post("/api/polls", {"question": "Chaos?", "options": OPTIONS, **fields}).expect(201)
        with psycopg.connect(self._database_url, connect_timeout=5) as connection:
            row = connection.execute("SELECT key FROM polls WHERE id = %s", [answer["id"]]).fetchone()
        assert row is not None
        per, change = answer["one_vote_per"], answer["allow_change"]
        return Ground(answer["id"], answer["admin_token"], bytes(row[0]), per == "voter", change)

    def _replace_for_ever(self) -> None:
        while not self._ended.wait(1):
            by_time = self._chance.random() < 0.5
            closes_at = (datetime.now(UTC) + timedelta(seconds=CLOSES_AFTER)).isoformat()
            fields: dict[str, object] = {"closes_at": closes_at} if by_time else {}
            if self._chance.random() < 0.5:
                fields["one_vote_per"] = "voter"
            # What cannot be made or closed now, because something is away, is left for the next turn.
            with contextlib.suppress(AssertionError, psycopg.Error, *BROKEN):
                self.closing = self.make(**fields)
                self.all.append(self.closing)
                until = time.monotonic() + CLOSES_AFTER
                self._ended.wait(CLOSES_AFTER)
                if not by_time:
                    self._close(self.closing, until + 60)

    def _close(self, ground: Ground, deadline: float) -> None:
        headers = {"Authorization": f"Bearer {ground.token}"}
        while time.monotonic() < deadline and not self._ended.is_set():
            with contextlib.suppress(*BROKEN), Client(self._url(), patience=10) as client:
                if client.request("POST", f"{ground.path}/close", headers=headers).status == 200:
                    return
            self._ended.wait(1)
