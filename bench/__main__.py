"""Measuring: the command `python -m bench`: runs the parts, prints their tables, and writes a file of all figures.

Ends with 0 however slow the figures are, and with 1 where something did not work.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

import click
from rich.console import Console

from bench import backpressure, fan_out, http_accept, latency, log_to_counted, recounting, report
from bench.system import BenchError
from polling.local.errors import LocalError

PARTS = ("http", "log", "latency", "fan-out", "recount", "backpressure")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--only", type=click.Choice(PARTS), multiple=True, help="Measure this part; may be given several times.")
@click.option("--votes", type=click.IntRange(10_000), default=1_000_000, show_default=True, help="For log to counted.")
@click.option("--minutes", type=click.FloatRange(0.1, 60), default=1, show_default=True, help="For backpressure.")
@click.option("--quick", is_flag=True, help="Small sizes: shows that it works, the figures mean little.")
def main(only: tuple[str, ...], votes: int, minutes: float, quick: bool) -> None:
    """Measure the system on this machine. Takes some eight minutes, and wants the machine to itself.

    \b
    Example:
      python -m bench
      python -m bench --only log --votes 3000000
    """
    signal.signal(signal.SIGTERM, _on_signal)
    if quick:
        votes = min(votes, 100_000)
    measures: dict[str, Callable[[], report.Part]] = {
        "http": lambda: http_accept.measure(seconds=2 if quick else 10, rounds=1 if quick else 2),
        "log": lambda: log_to_counted.measure(votes=votes),
        "latency": lambda: latency.measure(rate=500, seconds=4 if quick else 20),
        "backpressure": lambda: backpressure.measure(seconds=5 if quick else minutes * 60),
        "recount": lambda: recounting.measure(votes=votes),
        "fan-out": lambda: fan_out.measure(sockets=200 if quick else 1000, seconds=2 if quick else 5),
    }
    console = Console(stderr=True)
    load, processors = os.getloadavg()[0], len(os.sched_getaffinity(0))
    if load > 0.25 * processors:
        click.echo(f"The machine is busy (load {load:.1f} on {processors} processors): look at ratios alone.", err=True)
    parts: list[report.Part] = []
    try:
        for name in only or PARTS:
            with console.status(f"measuring: {name}"):
                parts.append(measures[name]())
            report.show(parts[-1:])
    except (BenchError, LocalError) as error:
        click.echo(f"bench: {error}", err=True)
        sys.exit(1)
    finally:
        if parts:
            path = report.write(parts, {"only": only, "votes": votes, "minutes": minutes, "quick": quick}, load)
            click.echo(f"All figures are in {path}.")


def _on_signal(_number: int, _frame: FrameType | None) -> None:
    sys.exit(143)


if __name__ == "__main__":
    main()
