"""The contract's tests: the vote log: what others find in it and may write to it, and what ends in `votes.dead`."""

from __future__ import annotations

import base64
import json
import time
import uuid
from typing import Any

import pytest
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME
from confluent_kafka.admin import AdminClient, ConfigResource
from support import log
from support.http import Client
from support.polls import Made, accepted, counted, create, decided, results, shown
from support.system import System
from support.waiting import until

from contract.test_ballots import key_of
from polling.core import ballots

DEAD = "votes.dead"


@pytest.fixture
def broker(system: System) -> str:
    return system.settings.kafka_broker


def record(poll: Made, option: str = "1", **more: Any) -> dict[str, Any]:
    return {"poll": poll.id, "ballot": uuid.uuid4().hex, "option": option, **more}


def test_what_a_vote_looks_like_in_the_log(client: Client, poll: Made, system: System, broker: str) -> None:
    before = time.time() * 1000
    vote_id = accepted(client, poll, "No")
    ballot = base64.urlsafe_b64decode(vote_id)[:16]
    message = log.read(broker, "votes", lambda message: message.key() == ballot)
    value = log.fields(message)
    assert value == {"poll": poll.id, "ballot": ballot.hex(), "option": "2", "at": value["at"]}
    assert before - 1000 <= value["at"] <= time.time() * 1000 + 1000
    assert isinstance(value["at"], int)
    assert message.timestamp()[0] == TIMESTAMP_LOG_APPEND_TIME
    assert message.partition() == log.partition_of(ballot, system.settings.votes_partitions)


def test_how_the_log_is_made(system: System, broker: str) -> None:
    admin = AdminClient({"bootstrap.servers": broker})
    topics = admin.list_topics(timeout=30).topics
    assert len(topics["votes"].partitions) == system.settings.votes_partitions
    for topic in ("votes", DEAD):
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
        config = admin.describe_configs([resource])[resource].result(30)
        assert config["message.timestamp.type"].value == "LogAppendTime"
        assert config["retention.ms"].value == "-1", "votes are kept"
        assert config["unclean.leader.election.enable"].value == "false"
    broker_config = ConfigResource(ConfigResource.Type.BROKER, "1")
    assert (
        admin.describe_configs([broker_config])[broker_config].result(30)["auto.create.topics.enable"].value == "false"
    )


def test_ballots_of_a_poll_spread_over_all_partitions(client: Client, poll: Made, system: System) -> None:
    places = {
        log.partition_of(base64.urlsafe_b64decode(accepted(client, poll))[:16], system.settings.votes_partitions)
        for _ in range(60)
    }
    assert places == set(range(system.settings.votes_partitions))


@pytest.mark.parametrize("key", [None, "anything", b"\xff\x00"])
def test_others_may_write_votes_with_any_key(client: Client, poll: Made, broker: str, key: Any) -> None:
    log.write(broker, record(poll, "2", at=int(time.time() * 1000)), record(poll, "1"), key=key)
    counted(client, poll, 1, 1)


def test_the_value_decides(client: Client, poll: Made, broker: str) -> None:
    """Not the key; fields that nobody named are passed over, and hex digits are read in both cases."""
    written = record(poll, "2", at=1.5, source={"name": "kiosk", "ids": [1, 2]}, weight=9)
    written["ballot"] = written["ballot"].upper()
    log.write(broker, written, key=uuid.uuid4().bytes)
    counted(client, poll, 0, 1)


def test_the_same_record_again_counts_once(client: Client, poll: Made, system: System, broker: str) -> None:
    written = record(poll)
    key = bytes.fromhex(written["ballot"])
    log.write(broker, written, written, {**written, "option": "2"}, key=key)
    vote_id = ballots.vote_id(key_of(system, poll), key)
    until(lambda: decided(client, poll, vote_id)["rejected"], "the other option is rejected")
    assert decided(client, poll, vote_id) == {
        "vote_id": vote_id,
        "status": "counted",
        "option": shown("1", "Yes"),
        "rejected": [{"option": shown("2", "No"), "reason": "idempotency_key_reused"}],
    }
    counted(client, poll, 1, 0)


def test_a_record_after_the_closing_is_late(client: Client, poll: Made, system: System, broker: str) -> None:
    accepted(client, poll)
    counted(client, poll, 1, 0)
    client.post(f"{poll.path}/close", **poll.admin).expect(200)
    late = record(poll, "2", at=0)
    log.write(broker, late)
    vote_id = ballots.vote_id(key_of(system, poll), bytes.fromhex(late["ballot"]))
    state = decided(client, poll, vote_id)
    assert (state["status"], state["option"]) == ("rejected", None)
    assert state["rejected"] == [{"option": shown("2", "No"), "reason": "poll_closed"}]
    assert results(client, poll)["total_votes"] == 1


def test_a_record_to_a_deleted_poll_is_rejected_not_dead(
    client: Client, poll: Made, system: System, broker: str
) -> None:
    client.delete(poll.path, **poll.admin).expect(204)
    late = record(poll)
    log.write(broker, late)
    vote_id = ballots.vote_id(key_of(system, poll), bytes.fromhex(late["ballot"]))
    assert decided(client, poll, vote_id)["rejected"] == [{"option": shown("1", "Yes"), "reason": "poll_deleted"}]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"poll": "nobody"}, "unknown_poll"),
        ({"poll": "\0"}, "unknown_poll"),
        ({"option": "3"}, "unknown_option"),
        ({"option": "Yes"}, "unknown_option"),
        ({"option": 1}, "unreadable"),
        ({"ballot": "short"}, "unreadable"),
        ({"ballot": None}, "unreadable"),
        ({"at": "yesterday"}, "unreadable"),
    ],
)
def test_what_can_never_be_counted_is_dead(
    client: Client, poll: Made, broker: str, change: dict[str, Any], reason: str
) -> None:
    value = json.dumps({**record(poll), **change, "mark": uuid.uuid4().hex}).encode()
    dies(broker, value, reason)
    accepted(client, poll)
    counted(client, poll, 1, 0)


@pytest.mark.parametrize(
    "value", [b"nonsense %b", b'{"poll": "\xff%b', b"\x00%b", b"[" * 5000 + b"%b", b'{"poll": 1e999}%b']
)
def test_what_is_no_json_is_dead(broker: str, value: bytes) -> None:
    dies(broker, value.replace(b"%b", uuid.uuid4().hex.encode()), "unreadable")


def test_an_empty_record_is_dead(broker: str) -> None:
    [written] = log.write(broker, b"")
    place = (str(written.partition()).encode(), str(written.offset()).encode())
    log.read(broker, DEAD, lambda message: (headers(message)["partition"], headers(message)["offset"]) == place)


def test_one_bad_record_keeps_no_good_one_back(client: Client, broker: str) -> None:
    polls = [create(client) for _ in range(3)]
    good = [record(poll) for poll in polls for _ in range(20)]
    bad = [b"?" + uuid.uuid4().bytes for _ in range(5)]
    log.write(broker, *good[:30], *bad, *good[30:], key="same partition")
    for poll in polls:
        counted(client, poll, 20, 0)
    for value in bad:
        log.read(broker, DEAD, lambda message, value=value: message.value() == value)  # type: ignore[misc]


def dies(broker: str, value: bytes, reason: str) -> None:
    """The record comes to `votes.dead` as it was, with where it stood, and why."""
    [written] = log.write(broker, value)
    dead = log.read(broker, DEAD, lambda message: message.value() == value)
    assert headers(dead) == {
        "reason": reason.encode(),
        "topic": b"votes",
        "partition": str(written.partition()).encode(),
        "offset": str(written.offset()).encode(),
    }


def headers(message: Any) -> dict[str, bytes]:
    return dict(message.headers())
