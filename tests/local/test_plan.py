"""Ports and addresses: what was asked for is kept or refused, what nobody asked for is moved, and said."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from polling.local.addresses import Addresses, environment
from polling.local.brokers import check_data
from polling.local.errors import NotOurs, PortTaken
from polling.local.guard import Guard
from polling.local.parts import Commands, make
from polling.local.plan import make_plan
from polling.local.ports import any_free, choose, is_free
from polling.local.servers import Servers
from polling.local.zookeeper import _PACKAGED, settings

OUTSIDE = {"KAFKA_BROKER": "k:1", "DB_HOST": "h", "REDIS_URL": "redis://r"}


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of the loopback that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def test_a_taken_port_is_not_chosen(taken: int) -> None:
    assert not is_free(taken)
    assert choose(taken) != taken
    free = any_free()
    assert choose(taken, free) == free
    assert choose(free, taken=[free]) != free


def test_a_port_on_all_addresses_is_taken_on_the_loopback_too() -> None:
    with socket.create_server(("0.0.0.0", 0)) as other:
        assert not is_free(other.getsockname()[1])


@pytest.mark.parametrize("variable", ["PORT", "FLOWER_PORT"])
def test_a_taken_port_that_was_asked_for_is_refused(tmp_path: Path, taken: int, variable: str) -> None:
    with pytest.raises(PortTaken, match=rf"^{variable}: port {taken} is taken"):
        make_plan(OUTSIDE | {variable: str(taken)}, tmp_path)


def test_a_usual_port_that_is_taken_is_moved_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: int
) -> None:
    monkeypatch.setattr("polling.local.plan._FIXED_FIRST", {"kafka": taken, "zookeeper": any_free()})
    plan = make_plan({}, tmp_path)
    assert plan.server_ports.kafka not in (None, taken)
    assert f"port {taken} is taken: kafka uses {plan.server_ports.kafka}" in plan.moved


def test_a_moved_database_stays_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: int) -> None:
    monkeypatch.setattr("polling.local.plan._KEPT_FIRST", {"postgres": taken, "redis": any_free()})
    first = make_plan({}, tmp_path)
    monkeypatch.setattr("polling.local.plan._KEPT_FIRST", {"postgres": any_free(), "redis": any_free()})
    assert make_plan({}, tmp_path).server_ports.postgres == first.server_ports.postgres


def test_servers_named_in_the_environment_are_not_ours(tmp_path: Path) -> None:
    plan = make_plan({"KAFKA_BROKER": "k:1", "PORT": str(any_free())}, tmp_path)
    assert (plan.own_kafka, plan.own_postgres, plan.own_redis) == (False, True, True)
    assert plan.server_ports.kafka is None
    assert plan.server_ports.zookeeper is None


def test_a_damaged_port_file_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "ports.json").write_text("[half")
    assert make_plan(OUTSIDE, tmp_path).api_port > 0


def test_the_environment_of_addresses() -> None:
    addresses = Addresses(
        kafka="127.0.0.1:1", postgres="postgresql://u:p%2F@127.0.0.1:2/d", redis="redis://127.0.0.1:3/0"
    )
    assert environment(addresses) == {
        "DB_USER": "u",
        "DB_PASSWORD": "p/",
        "DB_HOST": "127.0.0.1",
        "DB_PORT": "2",
        "DB_NAME": "d",
        "KAFKA_BROKER": "127.0.0.1:1",
        "REDIS_URL": "redis://127.0.0.1:3/0",
    }
    assert environment(Addresses()) == {}


def test_the_packaged_zookeeper_properties_are_the_projects() -> None:
    ours = Path(__file__).parents[2] / "zookeeper.properties"
    assert _PACKAGED.read_bytes() == ours.read_bytes()
    assert settings()["tickTime"] == "2000"
    assert settings()["dataDir"] == "/var/lib/zookeeper"


def test_a_cluster_has_the_usual_ports_and_those_after_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kafka = next(port for port in range(20_000, 30_000) if all(is_free(port + n) for n in range(3)))
    monkeypatch.setattr("polling.local.plan._FIXED_FIRST", {"kafka": kafka, "zookeeper": any_free()})
    plan = make_plan({}, tmp_path, cluster=True)
    assert plan.brokers == 3
    assert [plan.server_ports.wished(f"kafka-{n}") for n in (1, 2, 3)] == [kafka, kafka + 1, kafka + 2]
    assert len({plan.server_ports.wished(f"zookeeper-{n}") for n in (1, 2, 3)}) == 3
    assert plan.server_ports.kafka is None


def test_a_cluster_of_somebody_elses_kafka_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotOurs, match=r"--cluster starts brokers of its own; .*KAFKA_BROKER"):
        make_plan(OUTSIDE, tmp_path, cluster=True)


@pytest.mark.parametrize(("brokers", "there", "advice"), [(1, "kafka-1", "with --cluster"), (3, "kafka", "leave")])
def test_data_of_the_other_kind_is_refused(tmp_path: Path, brokers: int, there: str, advice: str) -> None:
    (tmp_path / there).mkdir()
    check_data(brokers, tmp_path)  # an empty disk that waits for its broker
    (tmp_path / there / "logs").mkdir()
    with pytest.raises(NotOurs, match=advice) as refused:
        Servers(tmp_path, postgres=False, redis=False, brokers=brokers).start()
    assert "--data" in str(refused.value)


def test_parts_of_a_cluster_have_names_and_ports_of_their_own(tmp_path: Path) -> None:
    commands = Commands.of(api_processes=2, workers=3, bridges=2, worker_nodes=2)
    names = [command.name for command in commands.parts]
    assert names == ["api", "bridge-1", "bridge-2", "worker-1", "worker-2", "beat", "flower"]
    assert [command.words[-1] for command in commands.parts if command.name.startswith("worker")] == ["2", "1"]
    ports = [dict(command.variables).get("METRICS_PORT") for command in commands.parts]
    assert ports == [None, None, "9111", None, "9112", None, None]
    parts = make(commands.parts, {"NODE_NAME": "here"}, tmp_path, Guard(tmp_path))
    assert len({part._environment["NODE_NAME"] for part in parts}) == len(parts)
    assert parts[1]._environment["NODE_NAME"] == "here-bridge-1"


def test_parts_of_a_single_run_are_as_they_were() -> None:
    single = Commands.of(1, 2).parts
    assert [command.name for command in single] == ["api", "bridge", "worker", "beat", "flower"]
    assert not any(command.variables for command in single)
    assert [command.name for command in Commands.of(1, 1, worker_nodes=2).parts].count("worker") == 1
