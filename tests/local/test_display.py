"""What the user sees: one merged log that stays readable, and takes no orders from strangers."""

from __future__ import annotations

import io

from rich.console import Console

from polling.local.addresses import Addresses
from polling.local.display import Display
from polling.local.repeats import Repeats

COMPLAINT = "%3|179{}.600|FAIL|rdkafka#consumer-2| [thrd:127.0.0.1:9092/bootstrap]: Connection refused (after {}ms)"


def _display() -> tuple[Display, io.StringIO]:
    output = io.StringIO()
    return Display(Console(file=output, highlight=False, soft_wrap=True)), output


def test_a_repeated_complaint_of_the_kafka_client_is_shown_once_a_period() -> None:
    now = [0.0]
    repeats = Repeats(10.0, clock=lambda: now[0])
    shown = []
    for step in range(41):
        now[0] = step * 0.5
        shown.append(repeats.admit("bridge", COMPLAINT.format(step, step)))
    assert [number for number, line in enumerate(shown) if line] == [0, 20, 40]
    assert shown[20] == COMPLAINT.format(20, 20) + " (19 more like it were left out)"
    assert repeats.admit("api", COMPLAINT.format(41, 41)), "another part has a complaint of its own"
    assert repeats.admit("bridge", "batch 1 counted") == repeats.admit("bridge", "batch 1 counted") == "batch 1 counted"


def test_a_line_cannot_command_the_terminal() -> None:
    display, output = _display()
    display.log("api", "question=\x1b[2J\x07[bold]hidden[/bold]")
    assert output.getvalue() == "api       | question=?[2J?[bold]hidden[/bold]\n"


def test_a_servers_small_talk_is_left_to_its_file() -> None:
    display, output = _display()
    display.log("postgres", "2026-01-01 LOG:  checkpoint complete")
    display.log("postgres", "2026-01-01 FATAL:  no room")
    assert output.getvalue() == "postgres  | 2026-01-01 FATAL:  no room\n"


def test_progress_is_plain_lines_where_nobody_watches() -> None:
    display, output = _display()
    for words in ("starting kafka", "starting kafka", "ready"):
        display.progress(words)
    display.done()
    assert output.getvalue() == "starting kafka\nready\n"


def test_no_password_is_shown() -> None:
    display, output = _display()
    addresses = Addresses(
        api="http://localhost:1", postgres="postgresql://u:hush@127.0.0.1:2/d", redis="redis://me:hush@127.0.0.1:3/0"
    )
    display.addresses(addresses, "addresses.json")
    assert "hush" not in output.getvalue()
    assert "127.0.0.1:2/d" in output.getvalue()
