"""docker-compose.cluster.yml: what it lays over docker-compose.yml, and that both tell the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

Services = dict[str, dict[str, Any]]

NUMBERS = {"": 1, "-2": 2, "-3": 3}
TEXT = (Path(__file__).resolve().parents[2] / "docker-compose.cluster.yml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def cluster() -> dict[str, Any]:
    parsed = yaml.safe_load(TEXT)
    assert isinstance(parsed, dict)
    return parsed


@pytest.fixture(scope="module")
def laid_over(cluster: dict[str, Any]) -> Services:
    return dict(cluster["services"])


@pytest.mark.parametrize("part", ["kafka", "zookeeper"])
@pytest.mark.parametrize("number", ["-2", "-3"])
def test_the_others_are_run_like_the_first(services: Services, laid_over: Services, part: str, number: str) -> None:
    for key in ("image", "healthcheck", "restart", "stop_grace_period"):
        assert laid_over[part + number][key] == services[part][key], key


@pytest.mark.parametrize("number", NUMBERS)
def test_each_node_has_its_number_and_our_properties(laid_over: Services, number: str) -> None:
    node = laid_over[f"zookeeper{number}"]
    ensemble = node["environment"]["ENSEMBLE"].split()
    assert ensemble == [f"zookeeper{name}={one}" for name, one in NUMBERS.items()]
    assert node["environment"]["ZOO_MY_ID"] == NUMBERS[number]
    assert "./zookeeper.properties:/conf/zoo.cfg:ro" in node["volumes"]
    assert f"zookeeper{number}:/var/lib/zookeeper" in node["volumes"]
    assert node["entrypoint"] == ["/bin/sh", "/opt/polling/start.sh"]


@pytest.mark.parametrize("number", NUMBERS)
def test_each_broker_keeps_three_copies_and_acknowledges_with_two(laid_over: Services, number: str) -> None:
    broker = laid_over[f"kafka{number}"]
    said = broker["environment"]
    assert said["KAFKA_BROKER_ID"] == NUMBERS[number]
    assert said["KAFKA_ADVERTISED_LISTENERS"].startswith(f"INSIDE://kafka{number}:9092,HOST://localhost:")
    assert said["KAFKA_ZOOKEEPER_CONNECT"] == ",".join(f"zookeeper{name}:2181" for name in NUMBERS)
    assert said["KAFKA_DEFAULT_REPLICATION_FACTOR"] == said["KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR"] == 3
    assert said["KAFKA_MIN_INSYNC_REPLICAS"] == 2
    assert said["KAFKA_UNCLEAN_LEADER_ELECTION_ENABLE"] == "false"
    assert set(broker["depends_on"]) == {f"zookeeper{name}" for name in NUMBERS}


def test_a_broker_of_the_cluster_is_told_all_that_the_single_one_is(services: Services, laid_over: Services) -> None:
    assert services["kafka"]["environment"].keys() <= laid_over["kafka"]["environment"].keys()


@pytest.mark.parametrize("name", ["migrate", "topics", "api", "bridge", "worker", "beat", "flower"])
def test_ours_know_all_three_brokers(laid_over: Services, name: str) -> None:
    assert laid_over[name]["environment"] == {
        "KAFKA_BROKER": ",".join(f"kafka{number}:9092" for number in NUMBERS),
        "VOTES_REPLICATION": 3,
        "VOTES_MIN_INSYNC": 2,
    }


def test_more_than_one_of_ours(laid_over: Services) -> None:
    assert laid_over["bridge"]["scale"] == laid_over["worker"]["scale"] == 2
    assert laid_over["api"]["command"] == ["api", "--processes", "${API_PROCESSES:-2}"]


def test_each_server_has_a_volume_of_its_own(cluster: dict[str, Any]) -> None:
    assert set(cluster["volumes"]) == {"kafka-2", "kafka-3", "zookeeper-2", "zookeeper-3"}


def test_only_loopback_is_published(laid_over: Services) -> None:
    assert all(p.startswith("127.0.0.1:") for service in laid_over.values() for p in service.get("ports", []))


def test_it_asks_for_no_variable_that_the_sample_lacks(sample: dict[str, str]) -> None:
    said = re.findall(r"(?<!\$)\$\{([A-Z_]+):-([^}]*)\}", TEXT)
    assert {name for name, _ in said} <= set(sample)
    assert all(default == sample[name] for name, default in said if name != "API_PROCESSES")
