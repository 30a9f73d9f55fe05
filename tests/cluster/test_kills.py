"""The cluster: one broker or ZooKeeper node killed under load: votes go on, and every 202 is counted once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.load import Load, audit
from support.polls import create
from support.system import System

from polling.local.server import Server

from .seen import Cluster, Pauses

pytestmark = pytest.mark.timeout(300)

VOTES = 150
"""Votes before and after the blow."""

LONGEST_PAUSE = 30.0
"""Seconds without a vote, at most: the dead broker's session of 6, and plenty for a busy machine."""

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
    assert pauses.longest < LONGEST_PAUSE
    assert not load.refused
    audit(whole, load)
