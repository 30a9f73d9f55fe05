"""The embedded stack: what the user of `polling up` sees: progress, addresses, a line to try, the merged log."""

from __future__ import annotations

import os
import sys
import threading
from urllib.parse import urlsplit

from rich.console import Console
from rich.status import Status
from rich.text import Text

from polling.local.addresses import Addresses
from polling.local.repeats import Repeats

_COLOURS = {
    "api": "bright_cyan",
    "bridge": "bright_magenta",
    "worker": "bright_green",
    "beat": "bright_yellow",
    "flower": "bright_blue",
    "kafka": "cyan",
    "zookeeper": "magenta",
    "postgres": "blue",
    "valkey": "red",
}
_WIDTH = max(len(name) for name in _COLOURS)
_TROUBLE = (" ERROR ", " FATAL", "PANIC:", "ERROR:", "OutOfMemory")
"""What makes a server's own line worth showing; the rest stays in its file."""
_SERVERS = {"kafka", "zookeeper", "postgres", "valkey"}


class _Terminal(Console):
    """A terminal, or a pipe whose reader may leave before us: then nothing is shown any more, and all goes on."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        # What Python still wants to write at its end has to go somewhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Display:
    """Plain lines where nobody watches a terminal, else colours and one moving line. Any thread may call it."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or _Terminal(highlight=False, soft_wrap=True)
        self._status: Status | None = None
        self._lock = threading.Lock()
        self._gone = False
        self._last = ""
        self._repeats = Repeats()

    def progress(self, words: str) -> None:
        """What is being done now: replaces what was there before on a terminal, else a line."""
        with self._lock:
            if words == self._last:
                return
            self._last = words
            if not self._console.is_terminal:
                self._print(Text(words))
            elif self._status is None:
                self._status = self._console.status(words)
                self._status.start()
            else:
                self._status.update(words)

    def done(self) -> None:
        """Ends the moving line."""
        with self._lock:
            if self._status is not None:
                self._status.stop()
                self._status = None

    def say(self, words: str) -> None:
        """A line of our own."""
        with self._lock:
            self._print(Text(words))

    def trouble(self, words: str) -> None:
        """A line that the user should not overlook."""
        with self._lock:
            self._print(Text(words, style="bold red"))

    def event(self, name: str, words: str) -> None:
        """A line of the supervisor's about a part."""
        with self._lock:
            self._print(_prefix(name) + Text(words, style="bold yellow"))

    def log(self, name: str, line: str) -> None:
        """A line that a part wrote; of a server's only those that mean trouble."""
        if not line or (_kind(name) in _SERVERS and not any(word in line for word in _TROUBLE)):
            return
        with self._lock:
            shown = self._repeats.admit(name, line)
            if shown is None:
                return
            # A line may hold what a stranger sent: no terminal takes orders from it.
            self._print(_prefix(name) + Text("".join(c if c.isprintable() or c == "\t" else "?" for c in shown)))

    def addresses(self, addresses: Addresses, data: str) -> None:
        """Where everything is, and what to try first."""
        rows = {
            "web page": addresses.api,
            "web socket": addresses.api and addresses.api.replace("http", "ws", 1),
            "API to try": addresses.api and f"{addresses.api}/docs",
            "Flower": addresses.flower,
            "Kafka": addresses.kafka,
            "ZooKeeper": addresses.zookeeper,
            "PostgreSQL": addresses.without_password().postgres,
            "Valkey": addresses.redis and _without_login(addresses.redis),
        }
        with self._lock:
            self._print(Text(""))
            for name, address in rows.items():
                if address:
                    self._print(Text(f"  {name:<11}", style="bold") + Text(address))
            self._print(Text(f"\n  All of it, with the password, in {data}. To try:\n"))
            self._print(Text(_curl(addresses.api or ""), style="green"))
            self._print(Text("\n  Ctrl-C stops everything; the data stays.\n"))

    def _print(self, text: Text) -> None:
        if self._gone:
            return
        try:
            self._console.print(text)
        except OSError:
            # The terminal was closed, or the pipe's reader left; the files in the log folder have it all.
            self._gone = True


def _prefix(name: str) -> Text:
    return Text(f"{name:<{_WIDTH}} | ", style=_COLOURS.get(_kind(name), "white"))


def _kind(name: str) -> str:
    """`kafka-2` → `kafka`."""
    return name.partition("-")[0]


def _without_login(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _curl(api: str) -> str:
    body = '{"question":"What is your favorite language?", "options":["JavaScript", "Python"]}'
    return f"  curl -X POST {api}/api/polls -H \"Content-Type: application/json\" -d '{body}'"
