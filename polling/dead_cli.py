"""Step 2 of 7, log: the command `polling dead`: what can never be counted as it is, and how to mend it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from polling.configured import configured_for

if TYPE_CHECKING:
    from polling.settings import Settings
    from polling.vote_log.dead import DeadRecord

_SHOWN = 100  # characters of a value in a list


class _Place(click.ParamType["tuple[int, int]"]):
    name = "partition:offset"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if not re.fullmatch(r"\d+:\d+", value):
            self.fail(f"{value} is no PARTITION:OFFSET, as `polling dead list` shows them.", param, ctx)
        partition, _, offset = value.partition(":")
        return int(partition), int(offset)


class _Change(click.ParamType["tuple[str, str]"]):
    name = "field=value"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        from polling.vote_log.dead import MENDABLE

        field, equals, text = value.partition("=")
        if not equals or field not in MENDABLE:
            self.fail(f"{value} is no FIELD=VALUE, with one of {', '.join(MENDABLE)}.", param, ctx)
        return field, text


@click.group()
def dead() -> None:
    """Look into votes.dead, and send mended records again.

    \b
    Example:
      polling dead list
      polling dead replay 0:17 --set option=2
    """


@dead.command("list")
@click.option("--reason", help="Only those of this reason, as unknown_poll.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="The newest so many.")
def list_(reason: str | None, limit: int) -> None:
    """List the newest records of votes.dead: place, reason, where it stood in the log, value.

    \b
    Example:
      polling dead list --reason unknown_poll --limit 10
    """
    with _records(configured_for("dead")) as found:
        chosen = [one for one in found if reason in (None, one.reason)]
    for one in sorted(chosen, key=lambda one: one.time)[-limit:]:
        text = one.value.decode(errors="backslashreplace")
        shown = text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
        click.echo(f"{one.place}  {one.reason}  {one.topic} {one.source}  {shown!r}")
    click.echo(f"{len(chosen)} records, {min(limit, len(chosen))} shown.")


@dead.command()
@click.argument("place", type=_Place())
def show(place: tuple[int, int]) -> None:
    """Show the record at PARTITION:OFFSET of votes.dead as it is.

    \b
    Example:
      polling dead show 0:17
    """
    with _records(configured_for("dead"), [place]) as found:
        chosen = list(found)
    if not chosen:
        raise click.ClickException(f"votes.dead has no record {place[0]}:{place[1]}.")
    [one] = chosen
    click.echo(f"reason: {one.reason}")
    click.echo(f"from:   {one.topic} {one.source}")
    click.echo(f"died:   {datetime.fromtimestamp(one.time / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}")
    click.echo(f"value:  {one.value.decode(errors='backslashreplace')}")


@dead.command()
@click.argument("places", type=_Place(), nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All records, or all of --reason.")
@click.option("--reason", help="With --all: only those of this reason.")
@click.option("--set", "changes", type=_Change(), multiple=True, help="Put this in: poll=, option= or ballot=.")
def replay(
    places: tuple[tuple[int, int], ...], everything: bool, reason: str | None, changes: tuple[tuple[str, str], ...]
) -> None:
    """Send the records at PARTITION:OFFSET to the vote log again, as they are or mended.

    What would only die again is not sent: then it says why, and exits with 1. Sending twice does no harm, for a ballot
    counts once. A closed poll takes no vote this way: it comes after the end.

    \b
    Example:
      polling dead replay 0:17 0:18 --set option=2
      polling dead replay --all --reason unknown_poll --set poll=0h4cq8z9m2k7v5x1t3s6
    """
    from polling.vote_log import dead as letters

    if bool(places) == everything or (reason and not everything):
        raise click.UsageError("Name the records, or take --all of them (or of one --reason).")
    configured = configured_for("dead")
    with _records(configured, None if everything else places) as found:
        chosen = [one for one in found if reason in (None, one.reason)]
    missing = set(places) - {(one.partition, one.offset) for one in chosen}
    refused = [f"{partition}:{offset}: votes.dead has no such record" for partition, offset in sorted(missing)]
    topic, sound = _judge(configured, chosen, dict(changes), refused)
    try:
        letters.send(configured.kafka_broker, topic, sound)
    except letters.NotAcknowledged as error:
        raise click.ClickException(f"Kafka did not acknowledge {error}. Send them again.") from error
    for line in refused:
        click.echo(f"not sent: {line}")
    click.echo(f"{len(sound)} records sent to {topic}, {len(refused)} not.")
    sys.exit(1 if refused else 0)


def _judge(
    configured: Settings, records: list[DeadRecord], changes: Mapping[str, str], refused: list[str]
) -> tuple[str, list[tuple[bytes, bytes]]]:
    """The vote log's newest topic, and (ballot, value) of the records that can be counted now; the others are told to
    `refused`."""
    from contextlib import closing

    from polling.store.counting import CountingConnection
    from polling.store.frontier import FrontierStore
    from polling.vote_log.dead import NotMended, mend

    with closing(FrontierStore(configured.database_url)) as store:
        generations = store.generations()
    if not generations:
        raise click.ClickException("There is no vote log to send them to. `polling topics create` makes one.")
    sound = []
    with closing(CountingConnection(configured.database_url)) as polls:
        for one in records:
            try:
                value, vote, ballot = mend(one.value, changes)
            except NotMended as error:
                refused.append(f"{one.place}: {error}")
                continue
            shape = polls.shapes([vote.poll]).get(vote.poll)
            if shape is None:
                refused.append(f"{one.place}: there is no poll {vote.poll!r}")
            elif vote.option not in map(str, range(1, shape.options + 1)):
                refused.append(f"{one.place}: poll {vote.poll} has no option {vote.option!r}")
            else:
                sound.append((ballot, value))
    return generations[-1].topic, sound


@contextmanager
def _records(
    configured: Settings, places: list[tuple[int, int]] | tuple[tuple[int, int], ...] | None = None
) -> Iterator[Iterator[DeadRecord]]:
    from polling.vote_log import LogReader, TopicMissing, Topics
    from polling.vote_log.dead import read_dead

    wanted: dict[int, set[int]] | None = None if places is None else {}
    for partition, offset in places or ():
        assert wanted is not None
        wanted.setdefault(partition, set()).add(offset)
    reader = LogReader(configured.kafka_broker)
    try:
        yield read_dead(Topics(configured.kafka_broker), reader, wanted)
    except TopicMissing as error:
        raise click.ClickException("Kafka has no topic votes.dead. `polling topics create` makes it.") from error
    finally:
        reader.close()
