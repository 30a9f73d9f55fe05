"""Chaos: the harness can go red: without a safeguard it finds the harm, and names it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import psycopg
import pytest

from chaos.arena import Arena
from chaos.fault import Fault
from chaos.faults import Catalogue
from chaos.run import Outcome, run

pytestmark = pytest.mark.timeout(420)

WORKERS = ("worker", "worker-2")
BRIDGES = ("bridge", "bridge-2")
DOORS = ("api", "api-2")


def played(folder: Path, safeguard: str, parts: tuple[str, ...], *faults: str, brokers: int = 1) -> Counter[str]:
    """Plays these faults on a system without that safeguard; the names of the violations."""

    def choose(catalogue: Catalogue) -> list[Fault]:
        chosen = [fault for fault in catalogue.all() if fault.name in faults]
        assert len(chosen) == len(faults)
        return chosen

    def drop(database_url: str) -> None:
        if safeguard == "unique-ballot":
            with psycopg.connect(database_url) as connection:
                connection.execute("ALTER TABLE ballots DROP CONSTRAINT ballots_pkey")

    without = {part: (f"--without={safeguard}",) for part in parts}
    with Arena(folder, brokers=brokers, seed=1, faults=without, prepared=drop) as arena:
        outcome: Outcome = run(
            arena, seconds=12, seed=1, freeze=5, rate=150, say=print, choose=choose, last=False, drain_limit=10
        )
    print(*outcome.violations[:20], sep="\n")
    return Counter(one.name for one in outcome.violations)


@pytest.mark.parametrize("safeguard", ["commit-after-count", "dispatch-again"])
def test_a_task_that_is_lost_loses_votes(tmp_path: Path, safeguard: str) -> None:
    """Where the bridge calls done what it has handed out, and where it trusts the queue."""
    names = played(tmp_path, safeguard, BRIDGES, "queue emptied")
    assert names["lost"] > 0
    assert names["not drained"] > 0


def test_a_ballot_without_a_key_is_doubled(tmp_path: Path) -> None:
    names = played(tmp_path, "unique-ballot", WORKERS, "kill bridge")
    assert names["doubled"] > 0


def test_a_tally_beside_the_transaction_drifts(tmp_path: Path) -> None:
    names = played(tmp_path, "one-transaction", WORKERS, "FLUSHALL")
    assert names["tally drifted"] > 0


def test_one_acknowledgement_is_none(tmp_path: Path) -> None:
    names = played(tmp_path, "acks-all", DOORS, "the leader dies while its followers stand still", brokers=3)
    assert names["lost from the log"] > 0
    assert names["lost"] > 0
