"""Step 5 of 7, store: the commands `polling recount` and `polling reconcile`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from polling.configured import configured_for
from polling.telemetry import logger

if TYPE_CHECKING:
    from polling.log_recount import Plan
    from polling.settings import Settings
    from polling.store.recounting import Recount

log = logger(__name__)

DIFFERS = 1
TOO_OLD = 3
"""Exit statuses: a tally differs; none of those that could be recounted does, but the log is too short for others."""


@click.command()
@click.argument("poll", required=False)
@click.option("--from-log", is_flag=True, help="Count the records of the log itself, not the stored ballots.")
def recount(poll: str | None, from_log: bool) -> None:
    """Recount POLL, or every poll, and compare with the tallies. Only reads; may run at any time.

    Exits with 1 where a tally differs, and with 3 where none does but the log no longer has all the votes of some poll.

    \b
    Example:
      polling recount
      polling recount 0h4cq8z9m2k7v5x1t3s6
      polling recount --from-log
    """
    configured = configured_for("recount")
    sys.exit(_from_log(configured, poll) if from_log else _from_rows(configured, poll, repair=False))


@click.command()
@click.argument("poll", required=False)
@click.option("--repair", is_flag=True, help="Set tallies that differ to what their ballots say.")
def reconcile(poll: str | None, repair: bool) -> None:
    """Hold the tally of POLL, or every tally, against its ballots, and mend it where told to.

    Exits with 1 where a tally differs and was not mended. Exact while votes are counted.

    \b
    Example:
      polling reconcile
      polling reconcile --repair
    """
    sys.exit(_from_rows(configured_for("reconcile"), poll, repair=repair))


def _from_rows(configured: Settings, poll: str | None, *, repair: bool) -> int:
    from rich.progress import track

    from polling.store.log_snapshot import connect
    from polling.store.recounting import mend, polls
    from polling.store.recounting import recount as recount_one

    with connect(configured.database_url) as connection:
        chosen = list(polls(connection, poll))
        _require(poll, chosen)
        shown = track(chosen, "Recounting", disable=not sys.stderr.isatty())
        numbers = {poll_id: number for number, poll_id in chosen}
        results = [recount_one(connection, number, poll_id) for number, poll_id in shown]
        differing = [one for one in results if not one.agrees]
        _tell(differing, "the ballots")
        found = [mend(connection, numbers[one.poll_id], one.poll_id) for one in differing] if repair else []
    mended = [one for one in found if one is not None]
    for one in mended:
        log.error("tally mended", poll=one.poll_id, tally=one.counts, total=one.total, recount=one.recounted)
    votes = sum(sum(one.recounted) for one in results)
    summary = f"{len(results)} polls with {votes} votes recounted, {len(differing)} differ"
    click.echo(f"{summary}, {len(mended)} mended." if repair else f"{summary}.")
    return DIFFERS if differing and not repair else 0


def _from_log(configured: Settings, poll: str | None) -> int:
    from rich.console import Console
    from rich.progress import Progress

    from polling import log_recount
    from polling.store import log_snapshot
    from polling.vote_log import LogReader, RecordsGone, Topics

    with log_snapshot.connect(configured.database_url) as connection:
        snapshot = log_snapshot.take(connection, poll)
    _require(poll, snapshot.polls)
    reader = LogReader(configured.kafka_broker)
    try:
        planned = log_recount.plan(snapshot, Topics(configured.kafka_broker), reader)
        with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
            bar = progress.add_task("Reading the log", total=planned.offsets)
            found = log_recount.recount(
                snapshot, planned, reader, configured.allowed_skew, lambda offsets: progress.advance(bar, offsets)
            )
    except RecordsGone as error:
        raise click.ClickException(f"The log lost records while it was read: {error}. Run it again.") from error
    finally:
        reader.close()
    differing = [one for one in found.recounts if not one.agrees]
    _tell(differing, "the log")
    votes = sum(sum(one.recounted) for one in found.recounts)
    summary = f"{len(found.recounts)} polls with {votes} votes recounted from {found.records} records of the log"
    click.echo(f"{summary}, {len(differing)} differ.")
    if found.deleted:
        click.echo(f"{found.deleted} deleted polls were left out.")
    if found.too_old:
        click.echo(_too_old(found.too_old, planned))
    return DIFFERS if differing else TOO_OLD if found.too_old else 0


def _too_old(polls: list[str], planned: Plan) -> str:
    since = planned.complete_since
    known = since is not None and since.year < 9999
    when = f"is complete only since {since:%Y-%m-%d %H:%M:%S} UTC" if known else "lost records, nobody knows how old"
    named = ", ".join(polls[:5]) + (", …" if len(polls) > 5 else "")
    return f"{len(polls)} polls could not be recounted from the log, which {when}: {named}"


def _require(poll: str | None, found: object) -> None:
    if poll is not None and not found:
        raise click.ClickException(f"There is no poll {poll}.")


def _tell(differing: list[Recount], who: str) -> None:
    for one in differing:
        click.echo(f"{one.poll_id}: the tally says {one.counts} (total {one.total}), {who} {one.recounted}")
