"""The embedded stack: the whole system of one data directory: brought up step by step, taken down in order."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from polling import settings
from polling.local import parts as ours
from polling.local import plan as planning
from polling.local.addresses import Addresses
from polling.local.display import Display
from polling.local.errors import Cancelled, StepFailed
from polling.local.follow import Follower
from polling.local.guard import Guard
from polling.local.servers import Servers
from polling.local.supervisor import Supervisor, describe_exit

STEP_LIMIT = 300.0
"""Seconds for migrate and topics; each says in the log what it waits for."""
READY_LIMIT = 60.0
"""Seconds after which we say that the API is not ready yet, and go on all the same."""
PATIENCE = 8.0
"""Seconds after which the log is shown although not everything is up: it says what is being waited for."""


class System:
    """Servers and parts. `bring_up` and `take_down` may run in two threads: the second cuts the first short."""

    def __init__(
        self,
        given: Mapping[str, str],
        data_dir: Path,
        commands: ours.Commands,
        display: Display,
        guard: Guard,
        cluster: bool = False,
    ) -> None:
        self._given = {name: value for name, value in given.items() if value}
        self._data = data_dir
        self._commands = commands
        self._display = display
        self._guard = guard
        self._cluster = cluster
        self._stopping = threading.Event()
        self._supervisor = Supervisor(display.event)
        self._servers: Servers | None = None
        self._steps: list[ours.Part] = []
        self._parts: list[ours.Part] = []
        self._follower: Follower | None = None
        self._following = threading.Lock()

    def bring_up(self) -> None:
        """From nothing to a ready API.

        Raises:
            LocalError: of which the family stands in `errors`; what had started is `take_down`'s to stop.
            SettingError: a variable that the user gave is missing or malformed.
        """
        began = time.monotonic()
        (self._data / "addresses.json").unlink(missing_ok=True)
        planning.check(self._given)
        plan = planning.make_plan(self._given, self._data, self._cluster)
        for line in plan.moved:
            self._display.say(line)
        own = self._start_servers(plan)
        environment = ours.python_environment(self._given, planning.variables(plan, own))
        addresses = planning.all_addresses(plan, own, self._given, settings.read(environment).database_url)
        addresses.write(self._data / "addresses.json")
        self._run_steps(environment)
        self._start_parts(environment)
        self._wait_until_ready(plan)
        self._display.done()
        self._display.say(f"up after {time.monotonic() - began:.1f} s")
        self._display.addresses(addresses, str(self._data / "addresses.json"))
        self._show_log()

    def cancel(self) -> None:
        """Lets a `bring_up` in another thread end soon."""
        self._stopping.set()
        if self._servers is not None:
            self._servers.cancel()

    def take_down(self) -> None:
        """Stops the parts stage by stage, then the servers, each within its limit."""
        self.cancel()
        stages = sorted({part.stage for part in self._parts})
        in_order = [[part for part in self._parts if part.stage == stage] for stage in stages]
        self._supervisor.stop([self._steps, *in_order])
        if self._servers is not None:
            self._servers.stop()
        with self._following:
            if self._follower is not None:
                self._follower.stop()

    def hurry(self) -> None:
        """Cuts the parts' stopping short; nothing is lost by it, for all of them bear a kill -9."""
        for part in [*self._steps, *self._parts]:
            part.kill()

    def _start_servers(self, plan: planning.Plan) -> Addresses:
        self._servers = Servers(
            self._data,
            kafka=plan.own_kafka,
            postgres=plan.own_postgres,
            redis=plan.own_redis,
            brokers=plan.brokers,
            ports=plan.server_ports,
            on_progress=self._progress,
            guard=self._guard,
        )
        own = self._servers.start()
        self._supervisor.keep(*self._servers.all)
        return own

    def _run_steps(self, environment: Mapping[str, str]) -> None:
        words = "preparing database and topics"
        self._progress(words)
        self._steps = ours.make(self._commands.steps, environment, self._data / "log", self._guard)
        self._follow(self._steps)
        began = time.monotonic()
        for step in self._steps:
            step.start()
        for step in self._steps:
            while (code := step.wait(0.1)) is None and (waited := time.monotonic() - began) < STEP_LIMIT:
                self._progress(words)
                if waited > PATIENCE:
                    self._show_log()
            if code != 0:
                raise StepFailed(f"{step.name} {describe_exit(code)}: {step.last_words()} (see {step.log})")
            step.kill()

    def _start_parts(self, environment: Mapping[str, str]) -> None:
        self._progress("starting " + ", ".join(command.name for command in self._commands.parts))
        self._parts = ours.make(self._commands.parts, environment, self._data / "log", self._guard)
        self._follow(self._parts)
        for part in self._parts:
            part.start()
        self._supervisor.keep(*self._parts)

    def _wait_until_ready(self, plan: planning.Plan) -> None:
        host = plan.bind_address if plan.bind_address not in ("0.0.0.0", "::", "") else "localhost"  # noqa: S104
        began = time.monotonic()
        while not is_ready(host, plan.api_port):
            self._progress("waiting for the API to be ready")
            waited = time.monotonic() - began
            if waited > PATIENCE:
                self._show_log()
            if waited > READY_LIMIT:
                self._display.done()
                self._display.trouble(f"The API is not ready after {READY_LIMIT:g} s; its log says why.")
                return
            self._stopping.wait(0.1)

    def _progress(self, words: str) -> None:
        if self._stopping.is_set():
            raise Cancelled("stopped before it was up.")
        self._display.progress(words)

    def _follow(self, more: list[ours.Part]) -> None:
        """Watches these logs, beside the servers', from their present ends; shown from `_show_log` on."""
        with self._following:
            if self._follower is None:
                servers = self._servers.all if self._servers is not None else ()
                self._follower = Follower({one.name: one.log for one in servers}, self._display.log)
            for part in more:
                self._follower.add(part.name, part.log)

    def _show_log(self) -> None:
        with self._following:
            if self._follower is not None:
                self._follower.start()


def is_ready(host: str, port: int) -> bool:
    """Whether `GET /readyz` says 200 there now."""
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
