"""Ports and addresses: what was asked for is kept or refused, what nobody asked for is moved, and said."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from polling.local.addresses import Addresses, environment
from polling.local.errors import PortTaken
from polling.local.plan import make_plan
from polling.local.ports import any_free, choose, is_free
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
