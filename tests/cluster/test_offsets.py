"""The cluster: what a client is told of the log's ends while the leader of a partition is dead."""

from __future__ import annotations

import time

import pytest
from confluent_kafka import KafkaException
from support.polls import create, vote
from support.system import System
from support.waiting import LIMIT

from polling.vote_log import Topics

from .seen import Cluster

pytestmark = pytest.mark.timeout(300)

VOTES = 40


def test_a_partition_without_a_leader_has_no_end_rather_than_a_wrong_one(whole: System, cluster: Cluster) -> None:
    """A bridge that took none for an end would believe that the log lost records, and read it no more."""
    poll = create(whole.client)
    for _ in range(VOTES):
        vote(whole.client, poll).expect(202)
    topics = Topics(whole.settings.kafka_broker)
    partitions = range(whole.settings.votes_partitions)
    before = topics.ends("votes", partitions)
    assert sum(before.values()) >= VOTES
    cluster.by_leadership()[0].kill()
    refused = 0
    deadline = time.monotonic() + LIMIT
    while True:
        try:
            after = topics.ends("votes", partitions)
            break
        except KafkaException:
            refused += 1
            assert time.monotonic() < deadline, "the ends are not known again"
    print(f"asked {refused} times in vain")
    assert after == before
    assert not [line for line in whole.log_of("bridge").splitlines() if "the log lost records" in line]
