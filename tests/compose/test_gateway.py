"""The gateway of docker-compose.yml: its configuration and the services beside it tell the same."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from polling import settings
from polling.api.limits import client_address
from websocket import care

ROOT = Path(__file__).resolve().parents[2]
START = (ROOT / "docker" / "gateway" / "start.sh").read_text(encoding="utf-8")
REQUIRED = {"DB_USER": "u", "DB_PASSWORD": "p", "DB_HOST": "h", "DB_NAME": "n", "KAFKA_BROKER": "k:9092"}
Services = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def sections() -> dict[str, list[str]]:
    """The lines of haproxy.cfg below the line that begins their section, without comments."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / "docker" / "gateway" / "haproxy.cfg").read_text(encoding="utf-8").splitlines():
        if line and not line.lstrip().startswith("#"):
            if line[0] != " ":
                lines = found[line] = []
            else:
                lines.append(line.strip())
    return found


def seconds(lines: list[str], name: str) -> int:
    (text,) = [line.removeprefix(f"timeout {name} ") for line in lines if line.startswith(f"timeout {name} ")]
    return int(text[:-1]) * {"s": 1, "m": 60}[text[-1]]


def test_it_is_given_every_variable_that_its_files_name(services: Services, sections: dict[str, list[str]]) -> None:
    everything = START + "\n".join(line for lines in sections.values() for line in lines)
    named = set(re.findall(r"\$\{?([A-Z_]+)", everything))
    assert named == set(services["gateway"]["environment"]) == {"PORT", "TRUSTED_PROXIES"}


def test_it_finds_every_container_of_the_api_where_that_listens(
    services: Services, sections: dict[str, list[str]]
) -> None:
    assert 'server-template api 16 "api:${PORT}"' in sections["backend api"]
    assert services["api"]["environment"]["PORT"] == services["gateway"]["environment"]["PORT"]
    assert "nameserver docker 127.0.0.11:53" in sections["resolvers docker"]


def test_the_api_has_an_address_of_each_request_and_none_of_the_voters_own_making(
    services: Services, sections: dict[str, list[str]]
) -> None:
    rules = [line for line in sections["frontend door"] if line.startswith("http-request")]
    assert [rule.split()[1] for rule in rules] == ["set-header"] * 3, "set, never added to what a voter sent"
    assert rules[1] == "http-request set-header X-Forwarded-For %[src] unless by_proxy by_proxy_for"
    assert "acl by_proxy src -f /tmp/trusted_proxies" in sections["frontend door"]
    assert "/tmp/trusted_proxies" in START
    trusted = settings.read(
        REQUIRED | {"TRUSTED_PROXIES": services["api"]["environment"]["TRUSTED_PROXIES"]}
    ).trusted_proxies
    for network in ("172.18.0.9", "192.168.32.9", "10.201.0.9", "fd00::9"):
        assert client_address(network, "203.0.113.7", trusted) == "203.0.113.7"
        assert client_address(network, "172.18.0.1", trusted) == "172.18.0.1"
    assert not any(ip_address("203.0.113.7") in network for network in trusted)


def test_nothing_that_works_is_cut(sections: dict[str, list[str]]) -> None:
    defaults = sections["defaults"]
    assert seconds(defaults, "tunnel") > 2 * care.ROUND, "a socket is pinged before it counts as silent"
    assert seconds(defaults, "server") > 60, "a process that stands still ends by itself before"
    assert seconds(defaults, "client") > 10, "Prefer: wait=10"


def test_a_vote_is_never_sent_twice_by_it(sections: dict[str, list[str]]) -> None:
    assert not any(line.startswith("retry-on") for lines in sections.values() for line in lines)


def test_who_refuses_is_given_no_more(sections: dict[str, list[str]]) -> None:
    """Who has the fewest is asked first, and a container that stops has none: it would be asked until the next look."""
    [checks] = [line for line in sections["backend api"] if line.startswith("default-server check")]
    assert "balance leastconn" in sections["backend api"]
    assert checks.endswith("observe layer4 error-limit 3 on-error mark-down")
    assert "option redispatch 1" in sections["defaults"]


def test_it_answers_what_clients_can_read(sections: dict[str, list[str]]) -> None:
    answers = [line for line in sections["defaults"] if line.startswith("http-error")]
    assert [int(line.split()[2]) for line in answers] == [400, 502, 503, 504]
    assert all(" content-type application/problem+json " in line for line in answers)
    assert all(" hdr Retry-After " in line for line in answers[1:])


def test_it_has_few_rights(services: Services) -> None:
    gateway = services["gateway"]
    assert gateway["read_only"] is True
    assert gateway["cap_drop"] == ["ALL"]
    assert gateway["volumes"] == ["./docker/gateway:/opt/polling:ro"]
    assert gateway["stop_signal"] == "SIGUSR1", "the one that lets requests end"
