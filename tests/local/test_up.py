"""`polling up`: how it starts, tells, stops, and what it leaves behind (nothing), with dummy parts."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable

import pytest

from .helpers import Up, runs, until

Start = Callable[..., Up]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_whole_group_stops_everything_in_order(start_up: Start, number: int) -> None:
    up = start_up(DUMMY_STUBBORN="yes")
    up.until_up()
    pids = up.pids()
    assert {"api", "bridge", "beat", "worker"} <= pids.keys()
    assert all(runs(pid) for pid in pids.values())

    began = time.monotonic()
    up.signal_group(number)

    assert up.wait() == 0
    assert time.monotonic() - began < 30, "nobody was waited for beyond a limit"
    assert not any(runs(pid) for pid in pids.values()), "also the child of a part, and the one that ignores SIGTERM"
    assert "stopped after" in up.text()
    assert not list((up.data / "run").glob("*.json"))


def test_a_second_ctrl_c_is_no_harm(start_up: Start) -> None:
    up = start_up()
    up.until_up()
    pids = up.pids()
    for _ in range(3):
        up.signal_group(signal.SIGINT)
        time.sleep(0.4)
    assert up.wait() == 0
    assert not any(runs(pid) for pid in pids.values())


def test_a_signal_while_it_is_suspended_stops_it_as_soon_as_it_goes_on(start_up: Start) -> None:
    """Whichever of its threads the kernel hands it to. More than once, for that is a matter of chance."""
    for _ in range(3):
        up = start_up()
        up.until_up()
        up.process.send_signal(signal.SIGSTOP)
        up.process.send_signal(signal.SIGTERM)
        up.process.send_signal(signal.SIGCONT)
        assert up.wait() == 0


def test_a_signal_while_it_starts_stops_it_too(start_up: Start) -> None:
    up = start_up()
    until(lambda: "preparing" in up.text(), "it is starting")
    up.signal_group(signal.SIGTERM)
    assert up.wait() == 0
    assert not list((up.data / "run").glob("*.json"))


def test_after_kill_9_of_the_supervisor_nothing_is_left(start_up: Start) -> None:
    up = start_up()
    up.until_up()
    pids = up.pids()
    up.process.kill()
    up.wait()
    until(lambda: not any(runs(pid) for pid in pids.values()), "the guard ended what was left")


def test_after_kill_9_of_the_guard_as_well_the_next_start_ends_what_was_left(start_up: Start) -> None:
    first = start_up()
    first.until_up()
    pids = first.pids()
    os.kill(first.guard_pid(), signal.SIGKILL)
    first.process.kill()
    first.wait()
    assert all(runs(pid) for pid in pids.values())

    second = start_up()
    second.until_up()

    assert not any(runs(pid) for pid in pids.values())
    assert all(runs(pid) for pid in second.pids().values())


def test_only_one_at_a_time_in_a_data_directory(start_up: Start) -> None:
    first = start_up()
    first.until_up()
    second = start_up()
    assert second.wait() == 1
    assert str(first.process.pid) in second.text()
    assert "in use" in second.text()
    assert first.process.poll() is None


def test_a_dead_part_is_started_again_with_a_word(start_up: Start) -> None:
    up = start_up()
    up.until_up()
    before = up.pids()["beat"]
    os.kill(before, signal.SIGKILL)
    until(lambda: "runs again" in up.text(), "it says so")
    assert "was ended by SIGKILL; starting it again in 0.5 s" in up.text()
    after = up.pids()["beat"]
    assert after != before
    assert runs(after)


def test_addresses_are_written_and_printed_without_the_password(start_up: Start) -> None:
    up = start_up(DB_PASSWORD="very secret/%", DB_PORT="5433")
    up.until_up()
    path = up.data / "addresses.json"
    found = json.loads(path.read_text())
    assert set(found) == {"api", "kafka", "zookeeper", "postgres", "redis", "flower"}
    assert found["kafka"] == "127.0.0.1:9"
    assert found["postgres"] == "postgresql://u:very%20secret%2F%25@127.0.0.1:5433/d"
    assert found["redis"] == "redis://127.0.0.1:9/0"
    assert path.stat().st_mode & 0o777 == 0o600
    assert found["api"] in up.text()
    assert "secret" not in up.text()
    assert f"curl -X POST {found['api']}/api/polls" in up.text()


def test_the_log_is_merged_and_kept(start_up: Start) -> None:
    up = start_up()
    up.until_up()
    until(lambda: "beat      | here I am" in up.text(), "the line of a part, with its name before it")
    assert (up.data / "log/beat.log").read_text() == "here I am\n"


def test_a_port_that_was_asked_for_and_is_taken_is_named(start_up: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        up = start_up(PORT=str(port))
        assert up.wait() == 1
    assert f"PORT: port {port} is taken" in up.text()
    assert len(up.text().strip().splitlines()) == 1


@pytest.mark.parametrize("variable", ["PORT", "VOTES_PARTITIONS"])
def test_a_malformed_variable_is_named_before_anything_starts(start_up: Start, variable: str) -> None:
    up = start_up(**{variable: "many"})
    assert up.wait() == 1
    assert up.text().startswith(f"polling up: {variable}: ")
    assert len(up.text().strip().splitlines()) == 1


def test_a_failed_step_ends_it_with_its_last_words(start_up: Start) -> None:
    up = start_up(DUMMY_STEP="3")
    assert up.wait() == 1
    assert "migrate ended with code 3: the step speaks" in up.text()
    assert not list((up.data / "run").glob("*.json"))


def test_a_reader_who_leaves_does_not_end_it(start_up: Start) -> None:
    reading, writing = os.pipe()
    up = start_up(stdout=writing)
    os.close(writing)
    os.read(reading, 1)
    os.close(reading)
    beat_log = up.data / "log/beat.log"
    until(lambda: beat_log.exists() and "here I am" in beat_log.read_text(), "it went on without a reader")
    os.kill(up.pids()["beat"], signal.SIGKILL)
    until(lambda: beat_log.read_text().count("here I am") == 2, "and still starts what dies")
    up.signal_group(signal.SIGTERM)
    assert up.wait() == 0
