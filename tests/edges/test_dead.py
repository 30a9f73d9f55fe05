"""The tests of the edges: `polling dead`: looking into votes.dead, and sending mended records again."""

from __future__ import annotations

import json
import re
import uuid

import pytest
from support import log
from support.polls import Made, accepted, counted, create
from support.system import System
from support.waiting import until

from polling.vote_log.dead import NotMended, mend


def place_of(system: System, mark: str) -> str:
    """Where votes.dead has the record with this mark, as the list shows it."""

    def look() -> re.Match[str] | None:
        listed = system.command("dead", "list", "--limit", "100000").stdout
        return re.search(rf"^(\d+:\d+)  .*{mark}", listed, re.MULTILINE)

    found = until(look, f"{mark} is in votes.dead")
    assert found is not None
    return found.group(1)


def record(poll: str, option: str = "1") -> tuple[str, bytes]:
    """A ballot, and a record of it that is short enough to be listed whole."""
    ballot = uuid.uuid4().hex
    return ballot, json.dumps({"ballot": ballot, "poll": poll, "option": option}).encode()


@pytest.fixture
def poll(system: System) -> Made:
    return create(system.client)


def test_a_record_is_listed_and_shown_as_it_is(system: System, poll: Made) -> None:
    ballot, value = record(poll.id, "7")
    [written] = log.write(system.settings.kafka_broker, value)
    place = place_of(system, ballot)
    shown = system.command("dead", "show", place).stdout
    assert "reason: unknown_option\n" in shown
    assert f"from:   votes {written.partition()}:{written.offset()}\n" in shown
    assert f"value:  {value.decode()}\n" in shown
    others = system.command("dead", "list", "--reason", "unreadable").stdout
    assert ballot not in others
    nothing = system.try_command("dead", "show", "0:999999999")
    assert nothing.returncode == 1
    assert "votes.dead has no record 0:999999999." in nothing.stderr


def test_a_mended_record_counts_once_however_often_it_is_sent(system: System, poll: Made) -> None:
    ballot, value = record(poll.id, "7")
    log.write(system.settings.kafka_broker, value)
    place = place_of(system, ballot)
    refused = system.try_command("dead", "replay", place)
    assert refused.returncode == 1
    assert f"not sent: {place}: poll {poll.id} has no option '7'" in refused.stdout
    for _ in range(2):
        sent = system.command("dead", "replay", place, "--set", "option=2").stdout
        assert "1 records sent to votes, 0 not." in sent
    accepted(system.client, poll)
    counted(system.client, poll, 1, 1)
    ballot_key = bytes.fromhex(ballot)
    mended = [one for one in log.read_all(system.settings.kafka_broker, "votes") if one.key() == ballot_key]
    assert [log.fields(one) for one in mended] == [{"ballot": ballot, "poll": poll.id, "option": "2"}] * 2
    assert {one.partition() for one in mended} == {log.partition_of(ballot_key, system.settings.votes_partitions)}, (
        "with its ballot as key"
    )


def test_all_of_a_reason_are_sent_and_what_would_die_again_is_not(system: System, poll: Made) -> None:
    """The reason is one of this test's own, that no other test's records have."""
    reason = f"test_{uuid.uuid4().hex[:8]}"
    votes = [record("lost")[1] for _ in range(3)]
    headers = {"reason": reason, "topic": "votes", "partition": "0", "offset": "1"}
    log.write(system.settings.kafka_broker, *votes, b"no vote", topic="votes.dead", headers=headers)
    done = system.try_command("dead", "replay", "--all", "--reason", reason, "--set", f"poll={poll.id}")
    assert done.returncode == 1
    assert "it is no JSON" in done.stdout
    assert "3 records sent to votes, 1 not." in done.stdout
    counted(system.client, poll, 3, 0)
    unmended = system.try_command("dead", "replay", "--all", "--reason", reason)
    assert "there is no poll 'lost'" in unmended.stdout
    assert "0 records sent to votes, 4 not." in unmended.stdout


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["replay"], "Name the records, or take --all of them"),
        (["replay", "0:1", "--all"], "Name the records, or take --all of them"),
        (["replay", "0:1", "--reason", "x"], "Name the records, or take --all of them"),
        (["replay", "0.1"], "0.1 is no PARTITION:OFFSET"),
        (["replay", "0:1", "--set", "at=5"], "at=5 is no FIELD=VALUE, with one of poll, ballot, option."),
        (["show", "1"], "1 is no PARTITION:OFFSET"),
    ],
)
def test_what_cannot_be_meant_is_refused(words: list[str], answer: str) -> None:
    from click.testing import CliRunner

    from polling.cli import cli

    done = CliRunner().invoke(cli, ["dead", *words])
    assert done.exit_code == 2
    assert answer in done.output


def test_mending_keeps_the_rest() -> None:
    value = json.dumps({"poll": "p", "ballot": "0" * 32, "option": "9", "at": 7, "more": [1]}).encode()
    mended, vote, ballot = mend(value, {"option": "1", "poll": "q"})
    assert json.loads(mended) == {"poll": "q", "ballot": "0" * 32, "option": "1", "at": 7, "more": [1]}
    assert (vote.poll, vote.option, ballot) == ("q", "1", bytes(16))
    assert mend(value, {})[0] == value


@pytest.mark.parametrize("value", [b"", b"[1]", b"{}", b'{"poll":1,"ballot":"x","option":"1"}', b"[" * 100_000])
def test_what_is_no_vote_cannot_be_mended(value: bytes) -> None:
    with pytest.raises(NotMended):
        mend(value, {"option": "1"})
    with pytest.raises(NotMended):
        mend(value, {})
