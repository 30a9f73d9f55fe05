"""Measuring: votes written to the log as the door would write them, as fast as one process can."""

from __future__ import annotations

import random
import time

from confluent_kafka import Producer

from bench.http_accept import OPTIONS
from bench.ledger import Seeded
from bench.system import BenchError, System
from polling.core import ballots
from polling.vote_log import VOTES_TOPIC, producer_config

CHANGES = 5
"""Of so many votes one is by a voter who has voted, and wants another option now; where voters may change."""

_FLUSH = 120.0
_TURN = 1000


class Electorate:
    """Voters of some polls, each of one: which votes come next, and what must come of them."""

    def __init__(self, polls: int, changing: bool, most: int) -> None:
        self._polls = polls
        self._changing = changing
        self._chance = random.Random(polls)  # the same votes in each run
        self._last = bytearray(most)
        self._voters = 0
        self._number = 0
        self.counts = [0] * len(OPTIONS)

    def next(self) -> tuple[int, int, int]:
        """(voter, poll, option): whole numbers, poll from 0 and option from 1."""
        self._number += 1
        if self._changing and self._number % CHANGES == 0:
            voter = self._chance.randrange(self._voters)
            before = self._last[voter]
            option = before % len(OPTIONS) + 1
            self.counts[before - 1] -= 1
        else:
            voter = self._voters
            self._voters += 1
            option = self._number % len(OPTIONS) + 1
        self._last[voter] = option
        self.counts[option - 1] += 1
        # A voter's poll is always the same, and neighbours have others.
        return voter, voter * 7919 % self._polls, option


def produce(system: System, polls: Seeded, votes: int) -> list[int]:
    """Writes so many votes to these polls; answers what must be counted, by option.

    Raises:
        BenchError: Kafka did not take all of them.
    """
    failures: list[object] = []
    # A broker that has just started says for a moment that it is not ready, which librdkafka takes for worth a warning.
    quiet = {"message.timeout.ms": 60_000, "log_level": 3}
    producer = Producer({**producer_config(system.settings.kafka_broker), **quiet})

    def delivered(error: object, _message: object) -> None:
        if error is not None:
            failures.append(error)

    electorate = Electorate(len(polls.ids), polls.changing, votes)
    ids = [id_.encode() for id_ in polls.ids]
    for number in range(votes):
        if number % _TURN == 0:
            producer.poll(0)
            now = int(time.time() * 1000)
        voter, poll, option = electorate.next()
        ballot = ballots.of_voter(polls.key, str(voter)) if polls.changing else ballots.fresh()
        value = b'{"poll":"%b","ballot":"%b","option":"%d","at":%d}' % (ids[poll], ballot.hex().encode(), option, now)
        while True:
            try:
                producer.produce(VOTES_TOPIC, value, ballot, on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.1)
    if producer.flush(_FLUSH) or failures:
        raise BenchError(f"the votes could not all be produced: {failures[:1]}")
    return electorate.counts
