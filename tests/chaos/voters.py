"""Chaos: the load: single votes, retries with the same key, voters who change their mind at once, and batches."""

from __future__ import annotations

import json
import random
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from support.http import Answer, Client
from support.load import ballot_of

from chaos.ground import BROKEN, OPTIONS, Ground, Grounds
from chaos.history import History, Operation, Outcome

VOTERS = 150
"""People in each poll with one vote per voter: few enough that several threads vote for one of them at once."""

PATIENCE = 8.0
"""Seconds after which a client calls a request unknown; a frozen door does not answer at all."""

LINES = 40
AT_ONCE = 500
RETRY_AFTER = 1.0


class Keyed(NamedTuple):
    """A vote with an Idempotency-Key that has no answer yet: to be sent again."""

    ground: Ground
    key: str
    option: int
    not_before: float


class Voters:
    """Threads that vote, at about `rate` operations a second in all, at any of the doors."""

    def __init__(
        self, history: History, grounds: Grounds, doors: Callable[[], list[str]], seed: int, threads: int, rate: float
    ) -> None:
        self.history = history
        self.grounds = grounds
        self.retries: deque[Keyed] = deque()
        self._doors = doors
        self._pause = threads / rate
        self._ended = threading.Event()
        self.failure: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._run, args=(random.Random(f"{seed} voter {number}"),), daemon=True)
            for number in range(threads)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends the load. Raises what a voter met that is no answer and no broken connection."""
        self._ended.set()
        for thread in self._threads:
            thread.join(60)
        if self.failure is not None:
            raise self.failure

    def settle(self, url: str, limit: float) -> int:
        """After healing: sends every keyed vote again that has no answer, and has each voter vote once more, so that
        what is accepted and what ends are the same set. Answers how many had to be sent again."""
        deadline = time.monotonic() + limit
        casts: list[tuple[Ground, int, str]] = []
        lines: dict[Ground, list[tuple[str, int]]] = {}
        waiting = 0
        while self.retries:
            one = self.retries.popleft()
            lines.setdefault(one.ground, []).append((one.key, one.option))
            waiting += 1
        with Client(url, patience=PATIENCE) as client:
            for ground, open_lines in lines.items():
                while open_lines:
                    if time.monotonic() > deadline:
                        raise TimeoutError("after healing, a batch was not answered in time")
                    open_lines = self._cast_lines(client, ground, open_lines[:AT_ONCE]) + open_lines[AT_ONCE:]
        for ground in (*self.grounds.changing, *self.grounds.first):
            casts += [(ground, 1 + number % len(OPTIONS), str(number)) for number in range(VOTERS)]

        def cast_all(share: list[tuple[Ground, int, str]]) -> None:
            with Client(url, patience=PATIENCE) as client:
                for ground, option, voter in share:
                    while self._cast(client, ground, option, voter=voter) == "unknown":
                        if time.monotonic() > deadline:
                            raise TimeoutError("after healing, a vote was not answered in time")
                        time.sleep(RETRY_AFTER)

        with ThreadPoolExecutor(len(self._threads)) as pool:
            list(pool.map(cast_all, (casts[n :: len(self._threads)] for n in range(len(self._threads)))))
        self.retries.clear()  # those that were unknown once more were sent until they were not
        return waiting

    def _run(self, chance: random.Random) -> None:
        clients: dict[str, Client] = {}
        try:
            while not self._ended.is_set():
                began = time.monotonic()
                url = chance.choice(self._doors())
                client = clients.get(url) or clients.setdefault(url, Client(url, once=True, patience=PATIENCE))
                self._turn(client, chance)
                self._ended.wait(max(0.0, chance.uniform(0.5, 1.5) * self._pause - (time.monotonic() - began)))
        except BaseException as error:  # noqa: BLE001 (raised again by `stop`)
            self.failure = error
        finally:
            for client in clients.values():
                client.close()

    def _turn(self, client: Client, chance: random.Random) -> None:
        option = chance.randint(1, len(OPTIONS))
        kind = chance.choices(("keyed", "plain", "voter", "closing", "batch"), (30, 15, 35, 14, 6))[0]
        if kind == "keyed" and self.retries and chance.random() < 0.5:
            self._retry(client)
        elif kind == "keyed":
            self._cast(client, chance.choice(self.grounds.plain), option, key=uuid.uuid4().hex)
        elif kind == "plain":
            self._cast(client, chance.choice(self.grounds.plain), option)
        elif kind == "voter":
            ground = chance.choice([*self.grounds.changing, *self.grounds.first])
            self._cast(client, ground, option, voter=str(chance.randrange(VOTERS)))
        elif kind == "batch":
            self._batch(client, chance.choice(self.grounds.plain), chance)
        elif (ground_now := self.grounds.closing) is not None:
            voter = str(chance.randrange(VOTERS)) if ground_now.voters else None
            self._cast(client, ground_now, option, key=None if voter else uuid.uuid4().hex, voter=voter)

    def _retry(self, client: Client) -> None:
        try:
            one = self.retries.popleft()
        except IndexError:
            return
        if one.not_before > time.monotonic():
            self.retries.append(one)
        else:
            self._cast(client, one.ground, one.option, key=one.key)

    def _cast(
        self, client: Client, ground: Ground, option: int, *, key: str | None = None, voter: str | None = None
    ) -> Outcome:
        body = {"option": str(option)} | ({} if voter is None else {"voter": voter})
        headers = {} if key is None else {"Idempotency-Key": key}
        if voter is not None:
            headers["Authorization"] = f"Bearer {ground.token}"
        ballot = ground.of_key(key) if key is not None else ground.of_voter(voter) if voter is not None else None
        began = time.monotonic()
        answer = _asked(client, f"{ground.path}/vote", json.dumps(body).encode(), headers)
        outcome, code = judge(answer)
        if answer is not None and outcome == "ok":
            named = ballot_of(answer.json["vote_id"])
            if ballot is not None and named != ballot:
                raise AssertionError(f"the vote id names another ballot: {named.hex()}, not {ballot.hex()}")
            ballot = named
        kind = "keyed" if key is not None else "voter" if voter is not None else "plain"
        self.history.add([Operation(kind, ground.id, ballot, option, outcome, code, began, time.monotonic())])
        if outcome == "unknown" and key is not None:
            self.retries.append(Keyed(ground, key, option, time.monotonic() + RETRY_AFTER))
        return outcome

    def _batch(self, client: Client, ground: Ground, chance: random.Random) -> None:
        lines = [(uuid.uuid4().hex, chance.randint(1, len(OPTIONS))) for _ in range(LINES)]
        for key, option in self._cast_lines(client, ground, lines):
            self.retries.append(Keyed(ground, key, option, time.monotonic() + RETRY_AFTER))

    def _cast_lines(self, client: Client, ground: Ground, lines: list[tuple[str, int]]) -> list[tuple[str, int]]:
        """Sends keys with their options as one batch; answers those of which nobody knows what became."""
        body = "\n".join(json.dumps({"option": str(option), "idempotency_key": key}) for key, option in lines)
        began = time.monotonic()
        headers = {"Content-Type": "application/x-ndjson"}
        answer = _asked(client, f"{ground.path}/votes/batch", body.encode(), headers)
        outcomes = [judge(answer)] * len(lines)
        if answer is not None and answer.status == 202:
            for line in answer.json["rejected"]:
                lost = line["code"] in ("log_unavailable", "store_unavailable")
                outcomes[line["line"] - 1] = ("unknown" if lost else "fail", line["code"])
        ended = time.monotonic()
        self.history.add(
            Operation("batch", ground.id, ground.of_key(key), option, *outcome, began, ended)
            for (key, option), outcome in zip(lines, outcomes, strict=True)
        )
        return [line for line, (outcome, _code) in zip(lines, outcomes, strict=True) if outcome == "unknown"]


def judge(answer: Answer | None) -> tuple[Outcome, str | None]:
    """What an answer means for the vote. No answer, and every 5xx, leave it unknown."""
    if answer is None:
        return "unknown", "no_answer"
    if answer.status == 202:
        return "ok", None
    if answer.status >= 500:
        return "unknown", str(answer.code)
    return "fail", str(answer.code)


def _asked(client: Client, path: str, body: bytes, headers: dict[str, str]) -> Answer | None:
    try:
        return client.request("POST", path, body=body, headers={"Content-Type": "application/json", **headers})
    except BROKEN:
        return None
