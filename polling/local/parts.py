"""The embedded stack: the project's own processes, as the supervisor runs them."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from polling.local.guard import Guard
from polling.local.processes import Process

_POLLING = (sys.executable, "-P", "-m", "polling")
"""`-P`: a folder of the user's that is called `tasks` or `websocket` is not taken for ours."""


@dataclasses.dataclass(frozen=True)
class Command:
    """What is run under a name. `stage`: 1 is stopped first; `stop_limit`: seconds until it is killed; `variables` of
    its own."""

    name: str
    words: tuple[str, ...]
    stage: int = 1
    stop_limit: float = 4.0
    variables: tuple[tuple[str, str], ...] = ()


@dataclasses.dataclass(frozen=True)
class Commands:
    """`steps` are done once at each start and must succeed before the `parts`, which run all the time."""

    steps: tuple[Command, ...]
    parts: tuple[Command, ...]

    @classmethod
    def of(cls, api_processes: int, workers: int, bridges: int = 1, worker_nodes: int = 1) -> Commands:
        """The project's. Doors and bridges stop first, then the workers get to finish their batches.

        The `workers` are processes; the nodes share them, and there is none without one.
        """
        nodes = min(workers, worker_nodes)
        shares = [workers // nodes + (node < workers % nodes) for node in range(nodes)]
        return cls(
            steps=(
                Command("migrate", (*_POLLING, "migrate")),
                Command("topics", (*_POLLING, "topics", "create")),
            ),
            parts=(
                Command("api", (*_POLLING, "api", "--processes", str(api_processes))),
                *(_one_of("bridge", number, bridges) for number in range(bridges)),
                *(
                    _one_of("worker", number, nodes, "--concurrency", str(share), stage=2, stop_limit=5.0)
                    for number, share in enumerate(shares)
                ),
                Command("beat", (*_POLLING, "beat")),
                Command("flower", (*_POLLING, "flower")),
            ),
        )


def _one_of(part: str, number: int, of: int, *options: str, stage: int = 1, stop_limit: float = 4.0) -> Command:
    """One of several of a kind, with a name and a port for its metrics of its own; `number` counts from 0."""
    words = (*_POLLING, part, *options)
    if number == 0:
        return Command(part if of == 1 else f"{part}-1", words, stage, stop_limit)
    port = {"bridge": 9101, "worker": 9102}[part] + 10 * number
    return Command(f"{part}-{number + 1}", words, stage, stop_limit, (("METRICS_PORT", str(port)),))


class Part:
    """One of these commands, which can be started, stopped and started again."""

    def __init__(self, command: Command, environment: Mapping[str, str], log: Path, guard: Guard) -> None:
        self.name = command.name
        self.stage = command.stage
        self._command = command
        self._environment = environment
        self._process = Process(command.name, guard, log)

    @property
    def pid(self) -> int | None:
        """Of the running process, else None."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How its last run ended, negative for a signal; None while it runs."""
        return self._process.exit_code

    @property
    def log(self) -> Path:
        """The file it writes to."""
        return self._process.log

    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process.alive()

    def last_words(self) -> str:
        """The last line of its log that says something."""
        return self._process.last_words()

    def start(self) -> None:
        """Starts it; it says by itself when it is ready."""
        self._process.spawn(self._command.words, self._environment, Path.cwd())

    def wait(self, timeout: float) -> int | None:
        """Its exit code, or None where it still runs after so many seconds."""
        return self._process.wait(timeout)

    def stop(self) -> None:
        """Asks it to end, and makes it end at its limit."""
        self._process.stop(self._command.stop_limit)

    def kill(self) -> None:
        """kill -9, for its whole process group."""
        self._process.kill()


def python_environment(given: Mapping[str, str], ours: Mapping[str, str]) -> dict[str, str]:
    """The environment of our processes: what the user gave, and on top of it what was chosen here."""
    defaults = {"LOG_FORMAT": "console"}
    return {**defaults, **given, **ours, "PYTHONUNBUFFERED": "1"}


def make(commands: Sequence[Command], environment: Mapping[str, str], logs: Path, guard: Guard) -> list[Part]:
    """A part for each command, each with its own file in `logs`, and a name of its own by which Kafka's groups know it
    again after a restart: it begins with the NODE_NAME that the user gave."""
    node = environment.get("NODE_NAME", "local")
    return [
        Part(
            command,
            {**environment, "NODE_NAME": f"{node}-{command.name}", **dict(command.variables)},
            logs / f"{command.name}.log",
            guard,
        )
        for command in commands
    ]
