"""Step 2 of 7, log: the command `polling topics`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from polling.configured import configured_for

if TYPE_CHECKING:
    from polling.settings import Settings
    from polling.store.frontier import FrontierStore
    from polling.vote_log import Topics


@click.group()
def topics() -> None:
    """Make and look after the vote log's topics.

    \b
    Example:
      polling topics create
      polling topics show
    """


@topics.command()
def create() -> None:
    """Make the topics that are missing, and record the vote log's first generation.

    \b
    Example:
      polling topics create
    """
    import psycopg
    from confluent_kafka import KafkaException

    from polling import log_admin
    from polling.store.frontier import FrontierStore
    from polling.waiting import wait_for

    configured, store, kafka = _log_admin()
    store.close()
    # The tables may be in the making, and PostgreSQL may go away once more.
    away = (KafkaException, psycopg.errors.UndefinedTable, psycopg.OperationalError)

    def attempt() -> list[str]:
        store = FrontierStore(configured.database_url)
        try:
            return log_admin.create(configured, store, kafka)
        finally:
            store.close()

    try:
        lines = wait_for("Kafka and the tables", attempt, away)
    except log_admin.LogAdminError as error:
        raise click.ClickException(str(error)) from error
    for line in lines:
        click.echo(line)


@topics.command()
def show() -> None:
    """Show the generations of the vote log, how far each is counted, and what was lost.

    \b
    Example:
      polling topics show
    """
    _configured, store, kafka = _log_admin()
    frontiers = store.frontiers()
    for generation in store.generations():
        click.echo(f"generation {generation.number}: {generation.topic}, topic id {generation.topic_id}")
        for partition, end in kafka.ends(generation.topic, range(generation.partitions)).items():
            frontier = frontiers.get((generation.number, partition), 0)
            click.echo(f"  partition {partition}: counted to {frontier} of {end}, lag {end - frontier}")
    for lost in store.lost():
        click.echo(f"lost: generation {lost.generation}, partition {lost.partition}, {lost.first} to {lost.next}")


@topics.command()
@click.argument("topic")
def adopt(topic: str) -> None:
    """Take TOPIC as the newest generation of the vote log.

    \b
    Example:
      polling topics adopt votes
    """
    from polling import log_admin
    from polling.vote_log import TopicMissing

    _configured, store, kafka = _log_admin()
    try:
        generation = log_admin.adopt(store, kafka, topic)
    except log_admin.LogAdminError as error:
        raise click.ClickException(str(error)) from error
    except TopicMissing as error:
        raise click.ClickException(f"Kafka has no topic {topic}.") from error
    click.echo(f"{topic} is generation {generation.number} now, with {generation.partitions} partitions.")


@topics.command()
@click.option("--partitions", type=click.IntRange(1, 16384), required=True, help="How many the new topic has.")
def grow(partitions: int) -> None:
    """Move the vote log to a new topic, with more partitions, while votes come in.

    Makes the topic votes.2 (or whatever name is next), the newest generation from then on; the others are read on.

    \b
    Example:
      polling topics grow --partitions 32
    """
    from polling import log_admin

    configured, store, kafka = _log_admin()
    try:
        made = log_admin.grow(configured, store, kafka, partitions)
    except log_admin.LogAdminError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{made.topic} is generation {made.number} now, with {made.partitions} partitions.")
    click.echo(
        "API processes write to it within 2 seconds; the bridge reads it within 10, and the older ones beside it."
    )
    for older in store.generations()[:-1]:
        click.echo(
            f"When its lag is 0 and nobody writes to it, `polling topics retire {older.number}` ends {older.topic}."
        )


@topics.command()
@click.argument("generation", type=int)
@click.option("--force", is_flag=True, help="Also where votes in it are not counted, or more may come.")
def retire(generation: int, force: bool) -> None:
    """Read GENERATION of the vote log no more: what is not counted of it stays so.

    Refused for the newest one, for one with records that are not counted, and for one that was written to a minute ago.

    \b
    Example:
      polling topics retire 1
    """
    from polling import log_admin

    _configured, store, kafka = _log_admin()
    try:
        left = log_admin.retire(store, kafka, generation, force=force)
    except log_admin.LogAdminError as error:
        raise click.ClickException(str(error)) from error
    if left is None:
        click.echo(f"What was not counted of generation {generation} is unknown, for its log is gone.")
    elif left:
        click.echo(f"{left} records of generation {generation} stay uncounted.")
    click.echo(f"Generation {generation} is retired.")


@topics.command()
def acknowledge() -> None:
    """End the alarm about records that the log lost before they were counted.

    \b
    Example:
      polling topics acknowledge
    """
    _configured, store, _kafka = _log_admin()
    click.echo(f"{store.acknowledge_lost()} lost ranges acknowledged.")


def _log_admin() -> tuple[Settings, FrontierStore, Topics]:
    import psycopg

    from polling.store.frontier import FrontierStore
    from polling.vote_log import Topics
    from polling.waiting import wait_for

    configured = configured_for("topics")
    store = wait_for("PostgreSQL", lambda: FrontierStore(configured.database_url), (psycopg.OperationalError,))
    return configured, store, Topics(configured.kafka_broker)
