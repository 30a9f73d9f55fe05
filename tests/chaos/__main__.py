"""Chaos: the command behind `make chaos`: breaks everything for as long as told, and ends with a table.

Exits with 1 where a vote was lost, doubled or otherwise not what was promised, and with 2 where the run itself failed.
"""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

import click

from chaos import report
from chaos.arena import Arena
from chaos.disks import small_disks, unmount
from chaos.run import run


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--minutes", type=click.FloatRange(0.1), default=30.0, help="How long faults are played.")
@click.option("--seed", type=int, default=None, help="Decides the schedule; drawn and printed where it is not given.")
@click.option("--brokers", type=click.Choice(["1", "3"]), default="3", help="One Kafka, or the cluster profile.")
@click.option("--freeze", type=float, default=45.0, help="Seconds for which a process is stopped by SIGSTOP.")
@click.option("--rate", type=float, default=200.0, help="Operations a second; a batch of 40 votes is one.")
@click.option("--out", type=click.Path(path_type=Path), default=Path(".test/chaos"), help="For table, JSON and logs.")
def chaos(minutes: float, seed: int | None, brokers: str, freeze: float, rate: float, out: Path) -> None:
    """Break everything breakable under load, and look for a vote that is lost or counted twice.

    \b
    Example:
      make chaos
      make chaos WITH="--minutes 5 --seed 7"
    """
    chosen = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    click.echo(f"seed {chosen}, {brokers} brokers, {minutes:g} minutes")
    with tempfile.TemporaryDirectory(prefix="polling-chaos-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        kinds = {"postgres": "postgres"} | ({"kafka-3": "kafka"} if brokers == "3" else {})
        disks = small_disks(folder / "servers", kinds)
        try:
            with Arena(folder, brokers=int(brokers), seed=chosen) as arena:
                began = time.monotonic()
                outcome = run(
                    arena,
                    seconds=minutes * 60,
                    seed=chosen,
                    freeze=freeze,
                    rate=rate,
                    say=lambda words: click.echo(words),
                )
                click.echo(f"{time.monotonic() - began:.0f} s in all")
        finally:
            for logs in (folder / "log", folder / "servers" / "log"):
                shutil.copytree(logs, out / "log", dirs_exist_ok=True)
            unmount(disks)
    report.write(outcome, out)
    click.echo(report.table(outcome))
    click.echo(f"more of it: {out}/chaos.json")
    sys.exit(1 if outcome.violations else 0)


if __name__ == "__main__":
    chaos()
