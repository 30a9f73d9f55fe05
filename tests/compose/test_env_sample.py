""".env.sample holds every variable there is, works when copied unchanged, and says the true defaults."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from polling import settings

ROOT = Path(__file__).resolve().parents[2]
BRIEF = {
    "DB_USER": "polling",
    "DB_PASSWORD": "polling",
    "DB_HOST": "postgres",
    "DB_NAME": "polling",
    "DB_PORT": "5432",
    "KAFKA_BROKER": "kafka:9092",
    "PORT": "5000",
}
FIELDS = {field.name.upper(): field for field in dataclasses.fields(settings.Settings)}
COMPOSE_ALONE = {"KAFKA_HOST_PORT", "KAFKA_SECOND_HOST_PORT", "KAFKA_THIRD_HOST_PORT"}
COMPOSE_ALONE |= {"PGADMIN_PORT", "API_PROCESSES", "WORKER_CONCURRENCY"}


@pytest.fixture(autouse=True)
def no_variables_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in FIELDS:
        monkeypatch.delenv(name, raising=False)


def active() -> dict[str, str]:
    """What a copy of the file sets."""
    found = settings.environment(str(ROOT / ".env.sample"))
    return {name: found[name] for name in FIELDS if name in found}


def test_holds_every_variable(sample: dict[str, str]) -> None:
    assert set(sample) == set(FIELDS) | COMPOSE_ALONE


def test_sets_the_briefs_variables_first_and_redis() -> None:
    assert active() == BRIEF | {"REDIS_URL": "redis://redis:6379/0"}
    assert list(active())[: len(BRIEF)] == list(BRIEF)


def test_a_copy_is_understood() -> None:
    read = settings.read(active())
    assert (read.db_host, read.db_port, read.kafka_broker, read.port) == ("postgres", 5432, "kafka:9092", 5000)


@pytest.mark.parametrize("name", sorted(set(FIELDS) - set(BRIEF) - {"REDIS_URL"}))
def test_says_the_true_default(sample: dict[str, str], name: str) -> None:
    default = getattr(settings.read(BRIEF), name.lower())
    if not sample[name]:
        assert not default, f"{name} has a default, and the file shows none"
        return
    assert getattr(settings.read(BRIEF | {name: sample[name]}), name.lower()) == default


def test_every_variable_has_a_comment() -> None:
    paragraphs = (ROOT / ".env.sample").read_text(encoding="utf-8").split("\n\n")
    for paragraph in paragraphs:
        lines = paragraph.strip().splitlines()
        if any(re.match(r"#?[A-Z][A-Z_]+=", line) for line in lines):
            assert lines[0].startswith("# "), paragraph


def test_compose_asks_for_no_variable_that_the_file_lacks(compose_text: str, sample: dict[str, str]) -> None:
    asked: set[str] = set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", compose_text))
    assert asked <= set(sample)


def test_compose_says_the_same_defaults(compose_text: str, sample: dict[str, str]) -> None:
    said: list[tuple[str, Any]] = re.findall(r"(?<!\$)\$\{([A-Z_]+):-([^}]*)\}", compose_text)
    assert said
    for name, default in said:
        assert default == sample[name], name
