"""Chaos: one run: load and faults, then healing, then the checks."""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Callable
from functools import partial

import psycopg
from confluent_kafka import KafkaException, Producer
from support.waiting import until

from chaos import readings
from chaos.arena import DOORS, Arena, Death
from chaos.checks import Violation, redis_has_the_leaderboard, violations
from chaos.evidence import Evidence
from chaos.fault import Fault
from chaos.faults import Catalogue
from chaos.ground import Grounds
from chaos.history import History, Operation, told
from chaos.liveness import Door, Liveness
from chaos.nemesis import Nemesis, Played
from chaos.sampling import Sample, Sampler
from chaos.sockets import Sockets
from chaos.voters import Voters

DRAIN_LIMIT = 300.0
SHOW_LIMIT = 60.0
REPLAYED = 2000

Say = Callable[[str], None]
Choose = Callable[[Catalogue], list[Fault]]


@dataclasses.dataclass
class Outcome:
    """What a run came to. Times are of the monotonic clock; `began` is the load's beginning."""

    seed: int
    brokers: int
    began: float
    ended: float
    operations: list[Operation]
    played: list[Played]
    deaths: list[Death]
    samples: list[Sample]
    evidence: Evidence
    violations: list[Violation]
    records: int
    sent_again: int
    drained_after: float
    frames: int
    reconnects: int


def everything(catalogue: Catalogue) -> list[Fault]:
    return catalogue.all()


def run(
    arena: Arena,
    *,
    seconds: float,
    seed: int,
    freeze: float,
    rate: float,
    say: Say,
    threads: int = 8,
    choose: Choose = everything,
    last: bool = True,
    drain_limit: float = DRAIN_LIMIT,
) -> Outcome:
    """Breaks an arena that is up for so long, and looks at what is left."""
    chance = random.Random(f"{seed} run")
    grounds = Grounds(lambda: chance.choice(arena.doors), arena.database_url, seed)
    history = History()
    voters = Voters(history, grounds, lambda: arena.doors, seed, threads, rate)
    sockets = Sockets(history, voters, grounds, lambda: arena.doors)
    sampler = Sampler(arena, history)
    liveness = Liveness([Door(name, arena.stage.url_of(name), partial(arena.standing, name)) for name in DOORS])
    catalogue = Catalogue(arena, seed, freeze, lambda: grounds.plain[0].id)

    def steady() -> None:
        until(arena.in_sync, "every replica is in sync", 120)

    nothing = Fault("nothing", frozenset(), lambda: None, lambda: None, (0, 0))
    nemesis = Nemesis(choose(catalogue), catalogue.everything() if last else nothing, seed, say, steady)

    def goes_on() -> None:
        for failure in (voters.failure, sockets.failure):
            if failure is not None:
                raise failure

    for one in (grounds, voters, sockets, sampler, liveness):
        one.start()
    nemesis.run(seconds, goes_on)
    ended = time.monotonic()
    say("healing")
    arena.heal()
    healed = time.monotonic()
    grounds.stop()
    voters.stop()
    sockets.stop_voting()
    until(lambda: not sockets.waiting, "the sockets' last votes have their answers, or never will")
    sent_again = voters.settle(arena.doors[0], DRAIN_LIMIT)
    drained_after = _drain(arena, drain_limit, healed)
    say(f"drained {drained_after:.1f} s after healing")
    _wait_for_finals(arena, min(drain_limit, SHOW_LIMIT))
    found = Evidence(finals=dict(sockets.finals), poison=catalogue.poison, hung=liveness.hung)
    _replay(arena, found)
    _drain(arena, drain_limit, healed)
    _wait_for_shown(arena, sockets, min(drain_limit, SHOW_LIMIT))
    sampler.stop()
    sockets.stop()
    liveness.stop()
    records = _collect(arena, sockets, found)
    say(f"checking {len(history)} operations against {records} records and {len(found.rows)} ballots")
    operations = history.all()
    return Outcome(
        seed, arena.brokers, history.began, ended, operations, nemesis.played, arena.deaths, sampler.samples, found,
        violations(told(operations), found), records, sent_again, drained_after, sockets.frames, sockets.reconnects,
    )  # fmt: skip


def _drain(arena: Arena, limit: float, since: float) -> float:
    """Waits until all of the log is counted, or no longer; seconds since healing."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        try:
            with psycopg.connect(arena.database_url, autocommit=True) as connection:
                if readings.lag(connection, arena.broker) == 0:
                    break
        except (psycopg.Error, KafkaException):
            pass  # asked again until the limit
        time.sleep(0.2)
    return time.monotonic() - since


def _wait_for_finals(arena: Arena, limit: float) -> None:
    """Until every closed poll is final, or no longer than that is to be expected."""
    question = "SELECT count(*) FROM polls WHERE NOT final AND (closed OR closes_at < clock_timestamp())"
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        with psycopg.connect(arena.database_url, autocommit=True) as connection:
            row = connection.execute(question).fetchone()
        if row == (0,):
            return
        time.sleep(0.5)


def _replay(arena: Arena, found: Evidence) -> None:
    """Writes records of final polls into the log once more: nothing of it may count."""
    with psycopg.connect(arena.database_url, autocommit=True) as connection:
        finals = {row[0] for row in connection.execute("SELECT id FROM polls WHERE final").fetchall()}
        topics = readings.generations(connection)
    producer = Producer({"bootstrap.servers": arena.broker, "acks": "all", **readings.QUIET})
    written = 0
    for topic in topics.values():
        for message in readings.records(arena.broker, topic):
            value = message.value() or b""
            if value in found.poison or written >= REPLAYED:
                continue
            if any(f'"{poll}"'.encode() in value for poll in finals):
                producer.produce(list(topics.values())[-1], value, message.key())
                written += 1
    if producer.flush(30):
        raise TimeoutError("records could not be written once more")


def _wait_for_shown(arena: Arena, sockets: Sockets, limit: float) -> None:
    """Until each watcher was shown the tallies, and Redis has the leaderboard; the checks say where that never came. A
    worker that was killed last holds its part of the queue until its session has ended."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        found = Evidence()
        with psycopg.connect(arena.database_url) as connection:
            readings.read_tallies(connection, found)
        found.leaderboard = _leaderboard(arena)
        shown = all(found.tallies[poll] == tally for seen in sockets.seen.values() for poll, tally in seen.items())
        if shown and not list(redis_has_the_leaderboard(told(()), found)):
            break
        time.sleep(0.5)


def _leaderboard(arena: Arena) -> list[tuple[str, int, int]] | None:
    return readings.read_leaderboard(f"redis://127.0.0.1:{arena.server('valkey').port}/0")


def _collect(arena: Arena, sockets: Sockets, found: Evidence) -> int:
    with psycopg.connect(arena.database_url) as connection:
        readings.read_database(connection, found)
        found.uncounted = readings.lag(connection, arena.broker)
        topics = readings.generations(connection)
    found.dead = readings.read_dead(arena.broker)
    found.went_back = sockets.went_back
    # Each door's watcher must show the same; the first that does not is enough to be named.
    for seen in sockets.seen.values():
        for poll_id, tally in seen.items():
            if poll_id not in found.shown or tally != found.tallies[poll_id]:
                found.shown[poll_id] = tally
    found.leaderboard = _leaderboard(arena)
    return readings.read_log(arena.broker, topics, found)
