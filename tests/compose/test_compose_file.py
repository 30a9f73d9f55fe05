"""docker-compose.yml keeps the habits that make it come up anywhere, each time alike."""

from __future__ import annotations

import re
from typing import Any

import pytest

Services = dict[str, dict[str, Any]]

ONE_SHOT = {"migrate", "topics"}
OURS = {"api", "bridge", "worker", "beat", "flower"} | ONE_SHOT
THEIRS = {"gateway", "zookeeper", "kafka", "postgres", "redis", "pgadmin"}
EXACT_TAG = re.compile(r"[a-z0-9./-]+:\d+\.\d+(\.\d+)?(-[a-z]+)?")


def test_has_every_part(services: Services) -> None:
    assert set(services) == OURS | THEIRS


def test_has_no_version_key(compose: dict[str, Any]) -> None:
    assert "version" not in compose


@pytest.mark.parametrize("name", sorted(OURS | THEIRS))
def test_image_has_an_exact_tag(services: Services, name: str) -> None:
    assert EXACT_TAG.fullmatch(services[name]["image"])


@pytest.mark.parametrize("line", range(2))
def test_our_base_images_have_an_exact_tag(dockerfile: str, line: int) -> None:
    image = re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)[line]
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", image)


@pytest.mark.parametrize("name", sorted((OURS | THEIRS) - ONE_SHOT))
def test_what_stays_has_a_health_check_a_restart_policy_and_time_to_stop(services: Services, name: str) -> None:
    service = services[name]
    assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    assert {"interval", "timeout", "retries", "start_period"} <= set(service["healthcheck"])
    assert service["restart"] == "unless-stopped"
    assert service["stop_grace_period"]


@pytest.mark.parametrize("name", sorted(ONE_SHOT))
def test_what_ends_is_not_started_again(services: Services, name: str) -> None:
    assert services[name]["restart"] == "no"


def test_each_waits_for_what_it_needs(services: Services) -> None:
    """A part with a health check is waited for until it is healthy, one that ends until it ended well."""
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if needed in ONE_SHOT else "service_healthy"
            assert how == {"condition": wanted}, f"{name} on {needed}"
    for name in OURS - ONE_SHOT:
        assert set(services[name]["depends_on"]) > ONE_SHOT


def test_what_does_the_work_can_be_scaled(services: Services) -> None:
    """Several containers of one service cannot have one name, one port of this machine, or one name in a group."""
    assert not [name for name in services if "container_name" in services[name] or "hostname" in services[name]]
    for name in ("api", "bridge", "worker", "beat"):
        assert "ports" not in services[name], name
        assert services[name]["environment"]["NODE_NAME"] == ""


def test_only_the_gateway_is_published_beyond_loopback(services: Services) -> None:
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert set(published) == {"gateway", "kafka", "flower", "pgadmin"}
    assert published.pop("gateway") == ["${PORT:-5000}:${PORT:-5000}"]
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_named_volumes_hold_what_must_stay(compose: dict[str, Any], services: Services) -> None:
    mounts = {
        name: [mount for mount in service.get("volumes", []) if not mount.startswith(".")]
        for name, service in services.items()
    }
    assert {name: found for name, found in mounts.items() if found} == {
        "zookeeper": ["zookeeper:/var/lib/zookeeper"],
        "kafka": ["kafka:/var/lib/kafka/data"],
        "postgres": ["postgres:/var/lib/postgresql"],
        "pgadmin": ["pgadmin:/var/lib/pgadmin"],
    }
    assert set(compose["volumes"]) == {"zookeeper", "kafka", "postgres", "pgadmin"}


def test_zookeeper_reads_our_properties(services: Services) -> None:
    zookeeper = services["zookeeper"]
    assert "./zookeeper.properties:/conf/zoo.cfg:ro" in zookeeper["volumes"]
    assert zookeeper["environment"]["ZOO_DATA_DIR"] == "/var/lib/zookeeper"


def test_kafka_has_a_door_for_containers_and_one_for_this_machine(services: Services) -> None:
    settings = services["kafka"]["environment"]
    assert settings["KAFKA_ADVERTISED_LISTENERS"] == ("INSIDE://kafka:9092,HOST://localhost:${KAFKA_HOST_PORT:-9092}")
    assert settings["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert settings["KAFKA_ZOOKEEPER_SESSION_TIMEOUT_MS"] == 6000


@pytest.mark.parametrize("name", sorted(OURS))
def test_ours_are_one_image_with_few_rights(services: Services, name: str) -> None:
    service = services[name]
    assert service["build"] == "."
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["env_file"] == ".env"


def test_our_image_runs_as_a_user_of_its_own_and_holds_no_servers(dockerfile: str) -> None:
    last = dockerfile.rsplit("FROM ", 1)[1]
    assert re.search(r"^USER polling$", last, re.MULTILINE)
    assert "constraints.txt" in dockerfile
    assert ".[" not in dockerfile


def test_every_health_check_of_ours_asks_where_the_part_listens(services: Services) -> None:
    for name in ("bridge", "worker", "beat"):
        port = services[name]["environment"]["METRICS_PORT"]
        assert services[name]["healthcheck"]["test"] == ["CMD", "polling", "health", f"http://127.0.0.1:{port}/livez"]
