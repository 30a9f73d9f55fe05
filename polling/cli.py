"""All rooms: the command `polling`. Each command runs one part of the system; only this file puts parts together."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from pathlib import Path

import click

from polling import __version__, settings
from polling.configured import configured_for
from polling.dead_cli import dead
from polling.log_cli import topics
from polling.recount_cli import reconcile, recount
from polling.telemetry import serving


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Real-time polls: every vote through Kafka, counted exactly once, shown live.

    \b
    Example:
      polling up            runs everything on this machine
      polling api --help    tells about one command
    """


@cli.command()
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), default=Path(".polling"), show_default=True)
@click.option("--cluster", is_flag=True, help="Three Kafka brokers, three ZooKeeper nodes, two worker nodes.")
@click.option("--api-processes", type=click.IntRange(1), show_default="1, with --cluster 2")
@click.option("--bridges", type=click.IntRange(1), show_default="1, with --cluster 2")
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Worker processes.")
def up(data: Path, cluster: bool, api_processes: int | None, bridges: int | None, workers: int) -> None:
    """Run the whole system here, without Docker, until Ctrl-C.

    Servers named in the environment (KAFKA_BROKER, DB_HOST, REDIS_URL), or in the file that ENV_FILE names, are used
    in place of its own.

    \b
    Example:
      polling up
      polling up --cluster --data .polling-cluster
      ENV_FILE=.env polling up --api-processes 2
    """
    from polling.local.up import up as run

    usual = 2 if cluster else 1
    sys.exit(
        run(
            settings.environment(),
            data,
            api_processes or usual,
            workers,
            bridges=bridges or usual,
            cluster=cluster,
        )
    )


@cli.command()
@click.option("--processes", type=click.IntRange(1), default=1, show_default=True)
def api(processes: int) -> None:
    """Serve the API, the web pages and the WebSockets.

    \b
    Example:
      polling api --processes 2
    """
    serving.share()
    configured = configured_for("api")
    from polling.api.app import serve

    serve(configured, processes)


@cli.command()
def bridge() -> None:
    """Read the vote log and hand batches of votes to the workers.

    \b
    Example:
      polling bridge
    """
    configured = configured_for("bridge")
    from bridge.main import run

    run(configured)


@cli.command()
@click.option("--concurrency", type=click.IntRange(1), default=2, show_default=True, help="Worker processes.")
def worker(concurrency: int) -> None:
    """Count votes, refresh the leaderboard, close polls: run the tasks.

    \b
    Example:
      polling worker --concurrency 4
    """
    serving.share()
    configured = configured_for("worker")
    from tasks.running import run_worker

    run_worker(configured, concurrency)


@cli.command()
def beat() -> None:
    """Send the periodic tasks. One in the whole system.

    \b
    Example:
      polling beat
    """
    configured = configured_for("beat")
    from tasks.running import run_beat

    run_beat(configured)


@cli.command()
def flower() -> None:
    """Watch the tasks in a browser, on FLOWER_PORT.

    \b
    Example:
      FLOWER_BASIC_AUTH=me:secret polling flower
    """
    configured = configured_for("flower")
    from tasks.running import run_flower

    run_flower(configured)


@cli.command()
def migrate() -> None:
    """Make the database where it is missing, and bring its tables up to date.

    \b
    Example:
      polling migrate
    """
    configured = configured_for("migrate")
    import psycopg2

    from polling.store.migrate import migrate as run
    from polling.waiting import wait_for

    wait_for("PostgreSQL", lambda: run(configured.database_url), (psycopg2.OperationalError,))
    click.echo("The database is up to date.")


@cli.command()
@click.argument("url")
def health(url: str) -> None:
    """Ask URL; exit with 0 where it answers 2xx. For health checks of containers.

    \b
    Example:
      polling health http://127.0.0.1:5000/readyz
    """
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 (the operator's own URL)
            click.echo(answer.read().decode(errors="replace"))
    except (urllib.error.URLError, OSError) as error:
        raise click.ClickException(f"{url}: {error}") from error


@cli.command()
def version() -> None:
    """Print the version.

    \b
    Example:
      polling version
    """
    click.echo(__version__)


for command in (topics, dead, recount, reconcile):
    cli.add_command(command)


def main() -> None:
    """The console command. A setting that is missing or malformed ends it with one line."""
    try:
        cli()
    except settings.SettingError as error:
        click.echo(f"polling: {error}", err=True)
        sys.exit(2)
