"""Chaos: a short run on one broker, part of `make test`: some of each kind of fault, and nothing lost or doubled."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from chaos import report
from chaos.arena import Arena
from chaos.fault import Fault
from chaos.faults import Catalogue
from chaos.run import run

SEED = random.SystemRandom().randrange(1_000_000)
"""Printed with the table: `--seed` plays the same schedule again."""

MUST = (
    "kill bridge",
    "kill worker",
    "kill api",
    "kill postgres",
    "kill valkey",
    "freeze bridge",
    "die at committed-not-told",
    "die between insert and commit",
    "FLUSHALL",
    "poison records",
    "torn: worker to postgres",
    "silent: to kafka",
    "rival bridge",
)
"""Each is played once while the others are away; more of them beside each other for as long as there is time."""


@pytest.mark.timeout(600)
def test_nothing_is_lost_or_doubled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def choose(catalogue: Catalogue) -> list[Fault]:
        chosen = [fault for fault in catalogue.all() if fault.name in MUST]
        assert len(chosen) == len(MUST)
        return chosen

    with Arena(tmp_path, brokers=1, seed=SEED) as arena:
        outcome = run(arena, seconds=75, seed=SEED, freeze=9, rate=100, say=print, choose=choose)
    print(report.table(outcome))
    assert not outcome.violations, report.table(outcome)
    assert len({one.name for one in outcome.played}) > len(MUST) // 2
    assert sum(one.outcome == "ok" for one in outcome.operations) > 500
    assert outcome.records > 500
