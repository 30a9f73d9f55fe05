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
@click.argument("generation", type=int)
def retire(generation: int) -> None:
    """Read GENERATION of the vote log no more: what is not counted of it stays so.

    \b
    Example:
      polling topics retire 1
    """
    _configured, store, _kafka = _log_admin()
    store.retire_generation(generation)
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
