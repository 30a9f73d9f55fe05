"""The cluster: every topic has three copies, a vote waits for two, and without two of them no vote is accepted."""

from __future__ import annotations

import shutil
import uuid

import pytest
from support.load import Load, audit
from support.polls import Made, create, results, vote
from support.system import System
from support.waiting import until

from .seen import Cluster

pytestmark = pytest.mark.timeout(300)

VOTES = 100


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
