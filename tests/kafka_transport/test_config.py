"""Options: the URL, what is refused, and what a queue's topic gets."""

from __future__ import annotations

import pytest

from tasks.kafka_transport import OptionError, Options
from tasks.kafka_transport.config import bootstrap_servers


@pytest.mark.parametrize(
    ("url", "servers"),
    [
        ("kafkatasks://one:9093//", "one:9093"),
        ("kafkatasks://one:9092,two,three:1//", "one:9092,two:9092,three:1"),
        ("kafkatasks://[::1]:9092", "[::1]:9092"),
        ("kafkatasks://", "localhost:9092"),
        (None, "localhost:9092"),
    ],
)
def test_brokers_are_in_the_url(url: str | None, servers: str) -> None:
    assert bootstrap_servers(url) == servers


@pytest.mark.parametrize("url", ["kafkatasks://user:secret@one//", "kafkatasks://one:port//", "kafkatasks://:9092"])
def test_a_malformed_url_is_named(url: str) -> None:
    with pytest.raises(OptionError):
        bootstrap_servers(url)


def test_unknown_options_are_refused_but_kombus_own_are_not() -> None:
    with pytest.raises(OptionError, match="goup_id"):
        Options.read("kafkatasks://one//", {"goup_id": "typo"})
    assert Options.read("kafkatasks://one//", {"max_retries": 3, "group_id": "g"}).group_id == "g"


def test_partitions_must_be_there() -> None:
    with pytest.raises(OptionError, match="partitions"):
        Options.read(None, {"partitions": 0})


def test_a_queue_may_have_its_own_topic_settings() -> None:
    options = Options.read(
        None,
        {
            "topic_config": {"retention.ms": "1", "segment.ms": "2"},
            "queues": {"votes": {"partitions": 16, "config": {"retention.ms": "3"}}},
        },
    )
    partitions, config = options.task_topic("votes")
    assert (partitions, config["retention.ms"], config["segment.ms"]) == (16, "3", "2")
    partitions, config = options.task_topic("other")
    assert (partitions, config["retention.ms"]) == (8, "1")


def test_nothing_is_committed_that_was_not_stored_on_purpose() -> None:
    config = Options.read(None, {"group_instance_id": "node-1"}).consumer()
    assert config["enable.auto.offset.store"] is False
    assert config["group.instance.id"] == "node-1"
    assert "group.instance.id" not in Options.read(None, {}).consumer()
