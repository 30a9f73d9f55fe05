"""The contract's tests: the command `polling`: help with examples, settings that are named, and tools for operators."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version

import pytest
from support.http import Client
from support.polls import Made, accepted, counted
from support.system import POLLING, System
from support.waiting import until

COMMANDS = {
    "up": "polling up",
    "api": "polling api --processes 2",
    "bridge": "polling bridge",
    "worker": "polling worker --concurrency 4",
    "beat": "polling beat",
    "flower": "polling flower",
    "migrate": "polling migrate",
    "recount": "polling recount",
    "reconcile": "polling reconcile --repair",
    "health": "polling health ",
    "version": "polling version",
    "dead": "polling dead list",
    "dead list": "polling dead list --reason ",
    "dead show": "polling dead show 0:17",
    "dead replay": "polling dead replay 0:17 0:18 --set option=2",
    "topics": "polling topics create",
    "topics create": "polling topics create",
    "topics show": "polling topics show",
    "topics adopt": "polling topics adopt ",
    "topics grow": "polling topics grow --partitions 32",
    "topics retire": "polling topics retire ",
    "topics acknowledge": "polling topics acknowledge",
}


def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        [*POLLING, *words], env=inherited | variables, capture_output=True, text=True, timeout=60, check=False
    )


def test_every_command_has_help_with_an_example() -> None:
    """In one process: starting Python sixteen times would take longer than all of the rest."""
    from click.testing import CliRunner

    from polling.cli import cli

    runner = CliRunner()
    listed = runner.invoke(cli, ["--help"]).output
    for words, example in COMMANDS.items():
        shown = runner.invoke(cli, [*words.split(), "--help"])
        assert shown.exit_code == 0
        assert "Example:" in shown.output, words
        assert example in shown.output, words
        if " " not in words:
            assert f"\n  {words} " in listed
    assert sorted(cli.commands) == sorted({words.split()[0] for words in COMMANDS})


def test_the_console_command_is_installed() -> None:
    script = os.path.join(os.path.dirname(sys.executable), "polling")
    done = subprocess.run([script, "version"], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == version("live-polling")


GIVEN = {"DB_USER": "u", "DB_PASSWORD": "hush", "DB_HOST": "h", "DB_NAME": "d", "KAFKA_BROKER": "127.0.0.1:1"}


@pytest.mark.parametrize("part", ["api", "bridge", "worker"])
@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({"DB_HOST": ""}, "polling: DB_HOST: is not set. See .env.sample."),
        ({"PORT": "high"}, "polling: PORT: must be a whole number from 0 to 65535."),
    ],
)
def test_a_variable_stops_the_process_with_one_line(part: str, variables: dict[str, str], line: str) -> None:
    done = run(part, **(GIVEN | variables))
    assert done.returncode != 0
    assert (done.stdout + done.stderr).strip() == line


def test_a_recount_agrees(client: Client, poll: Made, system: System) -> None:
    accepted(client, poll)
    counted(client, poll, 1, 0)
    done = system.command("recount", poll.id)
    assert "1 polls with 1 votes recounted, 0 differ." in done.stdout
    nobody = system.try_command("recount", "nobody")
    assert nobody.returncode != 0
    assert "There is no poll nobody." in nobody.stderr


def test_a_tally_that_differs_is_told(client: Client, poll: Made, system: System) -> None:
    accepted(client, poll)
    counted(client, poll, 1, 0)
    wrong = "UPDATE tallies SET counts[2] = %s FROM polls WHERE number = poll AND id = %s"
    with system.database() as connection:
        connection.execute(wrong, (5, poll.id))
        done = system.try_command("recount", poll.id)
        connection.execute(wrong, (0, poll.id))
    assert done.returncode == 1
    assert f"{poll.id}: the tally says [1, 5] (total 1), the ballots [1, 0]" in done.stdout


def test_preparing_again_changes_nothing(system: System) -> None:
    assert "up to date" in system.command("migrate").stdout
    assert system.command("topics", "create").stdout.strip() == "nothing to do"
    assert "generation 1: votes" in system.command("topics", "show").stdout


def test_a_topic_that_is_counted_cannot_be_adopted_again(system: System) -> None:
    done = system.try_command("topics", "adopt", "votes")
    assert done.returncode != 0
    assert "generation 1 already" in done.stderr
    done = system.try_command("topics", "adopt", "no-such-topic")
    assert "no topic no-such-topic" in done.stderr


def test_health_checks(system: System) -> None:
    system.until_ready(["api"])
    until(lambda: '"ready":true' in system.try_command("health", f"{system.url}/readyz").stdout, "it is healthy")
    assert system.try_command("health", f"{system.url}/nothing").returncode != 0
