"""The tests of the edges: tallies that somebody changed by hand are found, and mended while votes are counted."""

from __future__ import annotations

from support.load import Load, audit
from support.polls import Made, accepted, counted, create, results
from support.system import System
from support.waiting import until


def spoil(system: System, poll: Made, wrong: int = 5) -> None:
    """Adds votes to a tally that nobody cast."""
    with system.database() as connection:
        connection.execute(
            "UPDATE tallies SET counts[2] = counts[2] + %(wrong)s, total = total + %(wrong)s"
            " FROM polls WHERE number = poll AND id = %(id)s",
            {"wrong": wrong, "id": poll.id},
        )


def tally(system: System, poll: Made) -> tuple[list[int], int, int]:
    """Counts, total and revision."""
    with system.database() as connection:
        [row] = connection.execute(
            "SELECT counts, total, revision FROM tallies JOIN polls ON number = poll WHERE id = %s", [poll.id]
        ).fetchall()
    return row  # type: ignore[return-value]


def test_without_repair_it_only_compares(system: System) -> None:
    poll = create(system.client)
    accepted(system.client, poll)
    counted(system.client, poll, 1, 0)
    spoil(system, poll)
    before = tally(system, poll)
    found = system.try_command("reconcile", poll.id)
    assert found.returncode == 1
    assert f"{poll.id}: the tally says [1, 5] (total 6), the ballots [1, 0]" in found.stdout
    assert "1 polls with 1 votes recounted, 1 differ." in found.stdout
    assert tally(system, poll) == before
    mended = system.command("reconcile", poll.id, "--repair")
    assert "1 differ, 1 mended." in mended.stdout
    assert '"event": "tally mended"' in mended.stderr
    assert tally(system, poll) == ([1, 0], 1, before[2] + 1)
    until(lambda: results(system.client, poll)["revision"] == before[2] + 1, "readers see it")
    again = system.command("reconcile", poll.id, "--repair")
    assert "0 differ, 0 mended." in again.stdout
    assert tally(system, poll) == ([1, 0], 1, before[2] + 1), "nothing to mend, nothing changed"


def test_the_log_finds_it_too(system: System) -> None:
    """Independent of the ballots: also where a ballot itself was changed by hand, with its tally."""
    poll = create(system.client)
    for option in ("1", "1", "2"):
        accepted(system.client, poll, option)
    counted(system.client, poll, 2, 1)
    assert "1 polls with 3 votes recounted from" in system.command("recount", poll.id, "--from-log").stdout
    with system.database() as connection:
        connection.execute("UPDATE ballots SET option = 1 FROM polls WHERE number = poll AND id = %s", [poll.id])
    system.command("reconcile", poll.id, "--repair")
    assert system.try_command("recount", poll.id).returncode == 0, "tally and ballots agree, and are wrong together"
    found = system.try_command("recount", poll.id, "--from-log")
    assert found.returncode == 1
    assert f"{poll.id}: the tally says [3, 0] (total 3), the log [2, 1]" in found.stdout
    nobody = system.try_command("recount", "nobody", "--from-log")
    assert "There is no poll nobody." in nobody.stderr


def test_repair_is_exact_while_votes_are_counted(system: System) -> None:
    poll = create(system.client)
    with Load(system, poll) as load:
        for _ in range(3):
            load.until_more(40)
            spoil(system, poll)
            assert "1 differ, 1 mended." in system.command("reconcile", poll.id, "--repair").stdout
            assert "0 differ." in system.command("recount", poll.id, "--from-log").stdout
    audit(system, load)


def test_a_recount_of_the_log_leaves_out_what_it_cannot_know(system: System) -> None:
    """When a poll was deleted is not in the log."""
    poll = create(system.client)
    accepted(system.client, poll)
    counted(system.client, poll, 1, 0)
    system.client.delete(poll.path, **poll.admin).expect(204)
    done = system.command("recount", poll.id, "--from-log")
    assert "0 polls with 0 votes recounted from 0 records of the log, 0 differ." in done.stdout
    assert "1 deleted polls were left out." in done.stdout
