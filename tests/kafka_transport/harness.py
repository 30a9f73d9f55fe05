"""Celery over Kafka, tested: starts real workers, sends them signals, and reads what their tasks wrote down."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

from celery import Celery
from kombu import Connection, Consumer, Exchange, Queue

from .worker_app import make_app

HERE = Path(__file__).parent
#: Seconds any wait may last; generous, for the machine may be busy.
PATIENCE = 45.0


def wait_for(what: Callable[[], Any], seconds: float = PATIENCE, word: str = "") -> Any:
    """Wait until `what()` is true and return it; fail with `word` after `seconds`."""
    end = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < end, f"waited {seconds} s for {word or what}"
        time.sleep(0.02)
    return value


class Process:
    """A process in a group of its own, and its log."""

    def __init__(self, command: list[str], env: dict[str, str], log: Path) -> None:
        self.log_path = log
        with log.open("ab") as sink:
            self.popen = subprocess.Popen(
                command, cwd=HERE, env={**os.environ, **env}, stdout=sink, stderr=sink, start_new_session=True
            )

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def wait_for_log(self, word: str, times: int = 1) -> None:
        wait_for(lambda: self.log.count(word) >= times, word=f"{word!r} in the log:\n{self.log[-3000:]}")

    def signal_group(self, number: int) -> None:
        os.killpg(self.popen.pid, number)

    def kill(self) -> None:
        """kill -9 of the whole group."""
        if self.popen.poll() is None:
            self.signal_group(signal.SIGKILL)
        self.popen.wait(PATIENCE)

    def wait(self, seconds: float = PATIENCE) -> int:
        return self.popen.wait(seconds)


class Bench:
    """What one test works with: a topic prefix and a group of its own, a diary, workers."""

    def __init__(self, broker: str, name: str, directory: Path) -> None:
        self.url = f"kafkatasks://{broker}//"
        self.name = name
        self.directory = directory
        self.diary = directory / "diary"
        self.diary.touch()
        self.queues = [name]
        self.options: dict[str, Any] = {"group_id": name, "topic_prefix": f"{name}.", "partitions": 4}
        self._stack = ExitStack()
        self._app: Celery | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def app(self) -> Celery:
        """The application as a publisher sees it."""
        if self._app is None:
            self._app = make_app(self.url, self.queues, self.options)
            self._stack.callback(self._app.close)
        return self._app

    def send(self, task: str, *args: Any, **options: Any) -> Any:
        return self.app.send_task(task, args, **options)

    def env(self, **more: str) -> dict[str, str]:
        return {
            "TEST_BROKER_URL": self.url,
            "TEST_QUEUES": ",".join(self.queues),
            "TEST_OPTIONS": json.dumps(self.options),
            "TEST_DIARY": str(self.diary),
            **more,
        }

    def run(self, *command: str, env: dict[str, str] | None = None, log: str = "log") -> Process:
        """Start `python -m celery …`; killed at the end of the test."""
        whole = [sys.executable, "-m", "celery", "-A", "worker_app", *command]
        process = Process(whole, env or self.env(), self.directory / log)
        self._stack.callback(process.kill)
        return process

    def worker(self, *arguments: str, name: str = "one", lean: bool = True, **env: str) -> Process:
        """Start a worker and wait until it has its partitions. `lean` leaves out what only meets other workers."""
        quick = ["--without-mingle", "--without-gossip"] if lean else []
        pool = [] if "-P" in arguments else ["-P", "prefork", "-c", "2"]
        worker = self.run(
            "worker", "-l", "INFO", "-n", f"{name}@{self.name}", *pool, *quick, *arguments,
            env=self.env(**env), log=f"{name}.log",
        )  # fmt: skip
        worker.wait_for_log("assigned ")
        return worker

    def lines(self) -> list[str]:
        """What the tasks wrote so far."""
        return self.diary.read_text().splitlines()

    def wait_for_lines(self, word: str, number: int, seconds: float = PATIENCE) -> None:
        """Wait until `number` different lines begin with `word`."""

        def enough() -> bool:
            return len({line for line in self.lines() if line.startswith(word)}) >= number

        wait_for(enough, seconds, word=f"{number} × {word!r}")

    def lag(self, queue: str | None = None) -> int:
        """Records that are not finished."""
        with self.connection() as connection:
            return sum(row.lag for row in connection.default_channel.lag(queue or self.name))

    @contextmanager
    def connection(self, **options: Any) -> Iterator[Connection]:
        """A plain kombu connection."""
        with Connection(self.url, transport_options={**self.options, **options}) as connection:
            yield connection

    def queue(self, name: str | None = None) -> Queue:
        name = name or self.name
        return Queue(name, Exchange(name, "direct"), routing_key=name)


class Inbox:
    """A kombu consumer that keeps the messages it got, unacknowledged."""

    def __init__(self, connection: Connection, *queues: Queue, prefetch: int = 0, no_ack: bool = False) -> None:
        self.connection = connection
        self.messages: list[Any] = []
        self.channel = connection.channel()
        if prefetch:
            self.channel.basic_qos(0, prefetch, False)
        self.consumer = Consumer(self.channel, list(queues), on_message=self.messages.append, no_ack=no_ack)
        self.consumer.consume()

    def drain(self, seconds: float) -> list[Any]:
        """Take what comes within `seconds`; returns all."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                self.connection.drain_events(timeout=left)
            except TimeoutError:
                break
        return self.messages

    def wait_for(self, number: int) -> list[Any]:
        """Take until `number` messages are here; returns all."""
        end = time.monotonic() + PATIENCE
        while len(self.messages) < number:
            self.connection.drain_events(timeout=max(0.01, end - time.monotonic()))
        return self.messages

    def bodies(self) -> list[Any]:
        return [message.payload for message in self.messages]
