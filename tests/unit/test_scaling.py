"""The unit tests: scaling on paper: the clock, the simulation, and that the page says what they say."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from bench import costs, plans, scaling
from bench.clockwork import Clock, Pool, Walk
from bench.page import insert
from bench.results import merge
from bench.simulation import BATCH, Machines, Outcome, Pipeline, Stage

KEPT = costs.load()
SLOW_DATABASE = {"api": 30.0, "kafka": 10.0, "bridge": 4.0, "worker": 4.0, "postgres": 20.0}


def test_the_page_is_made_of_the_costs() -> None:
    page = scaling.PAGE.read_text(encoding="utf-8")
    assert insert(page, scaling.tables(KEPT)) == page, "python -m bench.scaling --write makes it anew"


def test_rows_were_held_for_a_full_batch() -> None:
    assert KEPT.batch == BATCH


def test_the_simulation_is_near_to_what_was_measured() -> None:
    """Where it is off by more than a quarter the page's other numbers are worth nothing."""
    checks = plans.checks(KEPT)
    assert len(checks) == 6
    for check in checks:
        assert check.predicted == pytest.approx(check.measured, rel=0.25), check.what


@pytest.mark.parametrize("used", [0.3, 0.6, 0.9])
def test_who_comes_at_random_waits_as_the_theory_says(used: float) -> None:
    """One server, random arrivals, equal services: a mean wait of used / 2 (1 - used) services (Pollaczek)."""
    clock, chance = Clock(), random.Random(7)
    pool = Pool(clock, 1)

    def customer() -> Walk:
        yield pool
        yield 1.0
        pool.give(1.0)

    def arrivals() -> Walk:
        while True:
            yield chance.expovariate(used)
            clock.at(0.0, customer())

    clock.at(0.0, arrivals())
    clock.run(200_000)
    assert pool.busy / clock.now == pytest.approx(used, rel=0.02)
    assert sum(pool.waits) / len(pool.waits) == pytest.approx(used / (2 * (1 - used)), rel=0.08)


def test_who_came_first_is_served_first() -> None:
    clock, served = Clock(), list[int]()
    pool = Pool(clock, 2)

    def customer(number: int) -> Walk:
        yield pool
        served.append(number)
        yield 1.0
        pool.give(1.0)

    for number in range(6):
        clock.at(number / 100, customer(number))
    clock.run(10)
    assert served == [0, 1, 2, 3, 4, 5]
    assert clock.now == pytest.approx(3.01)


def test_what_comes_is_counted_and_no_more() -> None:
    machines = Machines(1, 1, 2, dict.fromkeys(("api", "kafka", "bridge", "worker", "postgres"), 2))
    outcome = Pipeline(machines, SLOW_DATABASE, 5.0, 1.0).run(4, rate=10_000)
    assert outcome.rate == pytest.approx(10_000, rel=0.05)
    assert outcome.stages["API processes"].used == pytest.approx(0.3, rel=0.1)
    assert 0 < outcome.p50 < outcome.p99 < 150


def test_more_than_a_stage_carries_is_not_counted() -> None:
    machines = Machines(20, 4, 40, dict.fromkeys(("api", "kafka", "bridge", "worker", "postgres"), 40))
    outcome = Pipeline(machines, SLOW_DATABASE, BATCH / 400, BATCH / 2000).run(2, rate=500_000)
    assert outcome.rate == pytest.approx(400_000, rel=0.05), "1 vote holds the row for 1/400 ms"
    assert plans.fullest(outcome) == "rows of tallies"


def test_more_processors_are_of_no_use_to_one_poll() -> None:
    assert plans.plan(KEPT, 1_000_000, 1).rows == 1
    assert plans.plan(KEPT, 1_000_000, plans.MANY).rows > 1
    full = plans.capacity(KEPT, 1_000_000, 1).rows
    plan = plans.plan(KEPT, 10 * full, 1)
    stage, rate = plans.first_full(KEPT, plan, 1)
    assert stage == plans.Capacity._fields.index("rows")
    assert rate == pytest.approx(full)


def test_a_plan_is_used_as_much_as_it_says() -> None:
    for rate in plans.RATES:
        one = plans.capacity(KEPT, rate, plans.MANY)
        plan = plans.plan(KEPT, rate, plans.MANY)
        for each, servers in zip(one, (plan.api, plan.cores["kafka"], plan.bridges, plan.workers), strict=False):
            assert rate / each / servers <= plans.USED + 1e-9


def test_of_those_who_wait_for_each_other_the_last_is_full() -> None:
    stages = {"a": Stage(1, 0.5, 0, 0), "b": Stage(1, 0.999, 0, 0), "c": Stage(1, 0.995, 0, 0)}
    assert plans.fullest(Outcome(1, stages, 0, 0)) == "c"


def test_costs_are_those_of_one_vote(tmp_path: Path) -> None:
    def part(name: str, raw: dict[str, object]) -> dict[str, object]:
        return {"part": name, "name": name, "figures": [{"name": "a", "value": 1.23456, "unit": "x"}], "raw": raw}

    door = [{"requests": 500, "client_cpu_seconds": 0.01}, {"requests": 500, "client_cpu_seconds": 0.03}]
    http = {"cpu_seconds": {"api": 3.0}, "votes": 100_000, "door": door}
    log = {"votes": 9, "1 polls": {"cpu": {"worker": 2.0}, "measured": 1_000_000}}
    parts = [part(name, {"cpu_seconds": {"api": 1.0}, "votes": 1_000_000}) for name in costs.PARTS]
    parts += [
        part("http", http),
        part("hot-row", {"batch": 6}),
        part("log", {**log, "10000 polls": log["1 polls"]}),
    ]
    run = {"measured_at": "2026", "commit": "0123456789ab", "machine": {"processors": 2}, "parts": parts}
    taken = costs.take(merge([run], list(costs.PARTS)))
    assert taken.cpu["http"] == {"api": 30.0, "client": 40.0}
    assert taken.cpu["log"] == taken.cpu["log, 10,000 polls"] == {"worker": 2.0}
    assert taken.batch == 6
    assert taken.figure("idle", "a") == 1.2346
    assert taken.runs == [
        {"measured_at": "2026", "commit": "0123456789ab", "processors": 2, "parts": list(costs.PARTS)}
    ]
