"""The pins: every package that is installed stands in constraints.txt, and none of them takes a name of ours."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

from packaging.requirements import Requirement

CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _pins() -> dict[str, str]:
    lines = [line for line in CONSTRAINTS.read_text().splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line) for line in lines)
    return {_normal(name): version for name, _, version in (line.partition("==") for line in lines)}


def _needed() -> set[str]:
    """All that `pip install live-polling[local,test]` brings here."""
    found: set[str] = set()
    waiting = [("live-polling", frozenset({"local", "test"}))]
    while waiting:
        name, extras = waiting.pop()
        for text in importlib.metadata.requires(name) or []:
            requirement = Requirement(text)
            marker = requirement.marker
            if marker is not None and not any(marker.evaluate({"extra": extra}) for extra in (extras or {""})):
                continue
            if (key := _normal(requirement.name)) not in found:
                found.add(key)
                waiting.append((requirement.name, frozenset(requirement.extras)))
    return found


def test_every_package_that_is_needed_is_pinned() -> None:
    assert _needed() - _pins().keys() == set()


def test_what_is_installed_is_what_is_pinned() -> None:
    pins = _pins()
    assert {name: importlib.metadata.version(name) for name in _needed()} == {name: pins[name] for name in _needed()}


def test_no_package_takes_the_name_websocket() -> None:
    owners = importlib.metadata.packages_distributions().get("websocket", [])
    assert set(owners) <= {"live-polling"}
    assert "websocket-client" not in _pins()
