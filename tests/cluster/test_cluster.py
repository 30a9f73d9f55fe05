"""The cluster: one server killed, two of them, a disk erased: votes go on or are refused, and each counts once.

All in one file, which has the cluster to itself and takes it down at its end: six Java machines are a load.
"""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Callable

import pytest
from confluent_kafka import KafkaException
from support.load import Load, audit
from support.polls import Made, create, results, vote
from support.system import System
from support.waiting import LIMIT, until

from polling.local.server import Server
from polling.vote_log import Topics

from .seen import Cluster, Pauses

pytestmark = pytest.mark.timeout(300)

VOTES = 100
"""Votes before and after the blow."""

VICTIMS: dict[str, Callable[[Cluster], Server]] = {
    "the broker that leads most": lambda cluster: cluster.by_leadership()[0],
    "the broker that leads least": lambda cluster: cluster.by_leadership()[-1],
    "the controller": Cluster.controller,
    "the leader of the ensemble": Cluster.leader_of_the_ensemble,
}


@pytest.mark.parametrize("which", VICTIMS)
def test_one_server_is_killed_under_load(whole: System, cluster: Cluster, which: str) -> None:
    polls = [create(whole.client) for _ in range(2)]
    with Load(whole, *polls) as load, Pauses(load) as pauses:
        load.until_more(VOTES)
        victim = VICTIMS[which](cluster)
        victim.kill()
        load.until_more(VOTES)
        victim.start()
        load.until_more(VOTES)
    print(f"{which}: {victim.name}, {load.total} votes accepted, the longest pause {pauses.longest:.1f} s")
    assert not load.refused
    audit(whole, load)


def test_every_topic_has_three_copies_of_which_two_must_hold_a_record(whole: System, cluster: Cluster) -> None:
    topics = cluster.partitions()
    assert {"votes", "votes.dead", "celery.votes-to-count", "celery.periodic", "__consumer_offsets"} <= topics.keys()
    for name, partitions in topics.items():
        assert {len(one.replicas) for one in partitions} == {3}, name
        assert cluster.setting(name, "unclean.leader.election.enable") == "false"
        assert cluster.setting(name, "min.insync.replicas") == "2", name


def test_without_two_copies_no_vote_is_accepted_and_none_is_lost(whole: System, cluster: Cluster) -> None:
    polls, asked = [create(whole.client) for _ in range(2)], create(whole.client)
    key = uuid.uuid4().hex
    with Load(whole, *polls, keyed_only=True) as load:
        load.until_more(VOTES)
        for victim in cluster.by_leadership()[:2]:
            victim.kill()
        _until_refused(whole, asked, key)
        accepted = load.total
        # Any other vote would be in the same place: each is refused after some seconds.
        assert vote(whole.client, asked, Idempotency_Key=key).code == "log_unavailable"
        assert load.total == accepted, "a vote was accepted that one broker alone can hold"
        for one in cluster.servers.kafkas:
            if not one.alive():
                one.start()
        load.until_more(VOTES)
    # What was unknown is asked again with its key, and counts once.
    until(lambda: vote(whole.client, asked, Idempotency_Key=key).status == 202, "the same vote is accepted")
    audit(whole, load)
    until(lambda: results(whole.client, asked)["total_votes"] == 1, "it counts")


def test_a_broker_whose_data_is_gone_comes_back_as_itself_and_fetches_everything(
    whole: System, cluster: Cluster
) -> None:
    poll = create(whole.client)
    with Load(whole, poll) as load:
        load.until_more(VOTES)
        victim = cluster.by_leadership()[0]
        victim.kill()
        shutil.rmtree(victim.data)
        load.until_more(VOTES)
        victim.start()
        load.until_more(VOTES)
    cluster.until_whole()
    replicas = {number for partitions in cluster.partitions().values() for one in partitions for number in one.isrs}
    assert replicas == {1, 2, 3}
    audit(whole, load)


def _until_refused(system: System, poll: Made, key: str) -> None:
    refused = until(
        lambda: (answer := vote(system.client, poll, Idempotency_Key=key)).status != 202 and answer,
        "a vote is refused",
    )
    assert refused
    assert (refused.status, refused.code) == (503, "log_unavailable")
    assert refused.headers["Retry-After"]


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
