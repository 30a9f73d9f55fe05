"""Measuring: the command `python -m bench`: runs the parts, prints their tables, and writes a file of all figures.

Ends with 0 however slow the figures are, and with 1 where something did not work.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
from types import FrameType

import click
from rich.console import Console

from bench import report
from bench.parts import PARTS, Sizes
from bench.system import BenchError
from polling.local.errors import LocalError


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--only", type=click.Choice(list(PARTS)), multiple=True, help="This part; may be given several times.")
@click.option("--votes", type=click.IntRange(10_000), default=2_000_000, show_default=True, help="For the log's parts.")
@click.option("--stored", type=click.IntRange(10_000), default=20_000_000, show_default=True, help="Ballots, likewise.")
@click.option(
    "--minutes",
    type=click.FloatRange(0.1, 60),
    default=10,
    show_default=True,
    help="Of the soak; a tenth for backpressure.",
)
@click.option("--quick", is_flag=True, help="Small sizes: shows that it works, the figures mean little.")
def main(only: tuple[str, ...], votes: int, stored: int, minutes: float, quick: bool) -> None:
    """Measure the system on this machine. Takes some 40 minutes, and wants the machine to itself.

    \b
    Example:
      python -m bench
      python -m bench --only log --votes 3000000
    """
    signal.signal(signal.SIGTERM, _on_signal)
    sizes = Sizes.quick() if quick else Sizes(votes=votes, stored=stored, minutes=minutes)
    console = Console(stderr=True)
    load, processors = os.getloadavg()[0], len(os.sched_getaffinity(0))
    if load > 0.25 * processors:
        click.echo(f"The machine is busy (load {load:.1f} on {processors} processors): look at ratios alone.", err=True)
    parts: list[report.Part] = []
    failed: dict[str, str] = {}
    try:
        for name in only or PARTS:
            try:
                with console.status(f"measuring: {name}"):
                    parts.append(dataclasses.replace(PARTS[name](sizes), key=name))
            except (BenchError, LocalError) as error:
                # The others can be measured all the same, and half an hour is not thrown away.
                failed[name] = str(error)
                click.echo(f"bench: {name}: {error}", err=True)
            else:
                report.show(parts[-1:])
    finally:
        if parts:
            options = {"only": only, "quick": quick, **dataclasses.asdict(sizes)}
            path = report.write(parts, options, load, failed)
            click.echo(f"All figures are in {path}.")
    if failed:
        sys.exit(1)


def _on_signal(_number: int, _frame: FrameType | None) -> None:
    sys.exit(143)


if __name__ == "__main__":
    main()
