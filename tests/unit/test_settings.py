"""The unit tests: the settings: what is read, what is refused and in which words, and what `.env.sample` promises."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from polling import settings
from polling.settings import SettingError, Settings

GIVEN = {
    "DB_USER": "u",
    "DB_PASSWORD": "p@ss/word",
    "DB_HOST": "h",
    "DB_NAME": "d",
    "KAFKA_BROKER": "a:9092, b:9093",
}


def test_what_is_given_and_what_is_the_default() -> None:
    read = settings.read(GIVEN)
    assert (read.db_port, read.port, read.kafka_broker) == (5432, 5000, "a:9092,b:9093")
    assert read.database_url == "postgresql://u:p%40ss%2Fword@h:5432/d"
    assert read.task_broker_url == "kafkatasks://a:9092,b:9093//"
    assert read.allowed_skew == 5
    assert settings.read(GIVEN | {"CELERY_BROKER_URL": "redis://r:1/2"}).task_broker_url == "redis://r:1/2"


@pytest.mark.parametrize("name", [*GIVEN])
def test_what_must_be_given(name: str) -> None:
    for lacking in ({k: v for k, v in GIVEN.items() if k != name}, GIVEN | {name: ""}):
        with pytest.raises(SettingError, match=rf"^{name}: is not set\. See \.env\.sample\.$"):
            settings.read(lacking)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DB_PORT", "0"),
        ("DB_PORT", "5432a"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("KAFKA_BROKER", "kafka"),
        ("KAFKA_BROKER", "kafka:9092,"),
        ("REDIS_URL", "localhost:6379"),
        ("CELERY_BROKER_URL", "amqp://x"),
        ("RATE_LIMIT_VOTES", "many"),
        ("RATE_LIMIT_EXEMPT", "300.0.0.1"),
        ("ALLOWED_SKEW", "-1"),
        ("ALLOWED_SKEW", "nan"),
        ("BRIDGE_BATCH", "0"),
        ("LOG_LEVEL", "loud"),
        ("VOTES_MIN_INSYNC", "2"),
    ],
)
def test_what_is_malformed_is_named_in_one_line(name: str, value: str) -> None:
    with pytest.raises(SettingError, match=rf"^{name}: [^\n]+\.$"):
        settings.read(GIVEN | {name: value})


def test_secrets_do_not_show() -> None:
    shown = repr(settings.read(GIVEN | {"SECRET_KEY": "hush", "FLOWER_BASIC_AUTH": "me:hush"}))
    assert "p@ss" not in shown
    assert "hush" not in shown


def test_a_file_beneath_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "env"
    file.write_text("# words\n\nexport PORT=1\nDB_NAME='a b'\nDB_USER=x # who\nDB_HOST=\"#1\"\n")
    monkeypatch.setenv("PORT", "2")
    read = settings.environment(str(file))
    assert (read["PORT"], read["DB_NAME"], read["DB_USER"], read["DB_HOST"]) == ("2", "a b", "x", "#1")
    monkeypatch.setenv("ENV_FILE", str(file))
    assert settings.environment()["DB_NAME"] == "a b"


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"^ENV_FILE: .* cannot be read"):
        settings.environment(str(tmp_path / "none"))
    file = tmp_path / "env"
    file.write_text("A=1\nwhat is this\n")
    with pytest.raises(SettingError, match=r"^ENV_FILE: line 2 of .* is no KEY=VALUE\.$"):
        settings.environment(str(file))


def test_the_sample_holds_every_setting(tmp_path: Path) -> None:
    sample = Path(__file__).resolve().parents[2] / ".env.sample"
    text = sample.read_text(encoding="utf-8")
    for field in dataclasses.fields(Settings):
        if field.name != "node_name":  # not a user's business: containers set their own
            assert f"{field.name.upper()}=" in text, field.name
    assert settings.read(settings.environment(str(sample))).db_host == "postgres"
