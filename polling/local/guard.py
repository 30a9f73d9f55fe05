"""The embedded stack: leaves no process behind, whatever happens to the one that started it.

Every child is on record in `<data directory>/run/<name>.json`. A small guard process waits at a pipe that closes
when its owner ends, be it by kill -9, and then ends what is still on record; and the next start does the same,
should the guard have been killed too. A process is only touched where its pid *and* its start time are those on
record: a pid alone may long be somebody else's. Run as a file, this module is that guard process.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

GRACE = 3.0
"""Seconds that a process left behind is given after the polite signal."""


class Guard:
    """The record of one data directory's processes, with the lock that makes us its only user."""

    def __init__(self, data_dir: Path) -> None:
        self._run = data_dir / "run"
        self._lock: IO[str] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None

    def open(self) -> None:
        """Takes the data directory, ends what an earlier run left in it, and sets the watch.

        Raises:
            BlockingIOError: another process has it; the text of the error is that process's id.
        """
        self._run.mkdir(parents=True, exist_ok=True)
        lock = (self._run / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            holder = lock.read().strip()
            lock.close()
            raise BlockingIOError(holder) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock
        end_leftovers(self._run)
        self._watcher = subprocess.Popen(
            [sys.executable, "-I", __file__, str(self._run)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def record(self, name: str, pid: int, stop_signal: int) -> None:
        """Puts a process on record, from its start until `forget`."""
        entry = {"pid": pid, "started": start_time(pid), "signal": int(stop_signal)}
        fresh = self._run / f"{name}.new"
        fresh.write_text(json.dumps(entry), encoding="utf-8")
        fresh.replace(self._run / f"{name}.json")

    def forget(self, name: str, pid: int) -> None:
        """Takes a process off the record when it has ended."""
        path = self._run / f"{name}.json"
        entry = _read(path)
        if entry is not None and entry[0] == pid:
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Ends what is still on record, the watch and the lock."""
        if self._watcher is not None and self._watcher.stdin is not None:
            self._watcher.stdin.close()
            try:
                self._watcher.wait(3 * GRACE)
            except subprocess.TimeoutExpired:
                self._watcher.kill()
                self._watcher.wait()
            self._watcher = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def start_time(pid: int) -> str | None:
    """When the kernel started that process, in a form only good for comparing; None where there is none."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] in "ZX" else f"{boot} {fields[19]}"
    found = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return found.stdout.strip() or None


def end_leftovers(run: Path, grace: float = GRACE) -> list[str]:
    """Ends every process that is still on record, politely, then not; the names of those that were there."""
    left: dict[str, tuple[int, str | None, int]] = {}
    for path in sorted(run.glob("*.json")):
        entry = _read(path)
        if entry is not None and entry[1] is not None and start_time(entry[0]) == entry[1]:
            left[path.stem] = entry
        else:
            path.unlink(missing_ok=True)
    for pid, _, stop_signal in left.values():
        _send(pid, stop_signal)
    deadline = time.monotonic() + grace
    for name, (pid, started, _) in left.items():
        while start_time(pid) == started and time.monotonic() < deadline:
            time.sleep(0.05)
        # Its children too, where it left some: their group keeps the number from being anybody else's.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        entry = _read(run / f"{name}.json")
        if entry is not None and entry[0] == pid:
            (run / f"{name}.json").unlink(missing_ok=True)
    return list(left)


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _read(path: Path) -> tuple[int, str | None, int] | None:
    """(pid, start time, polite signal); None where the file is gone or was written by nobody we know."""
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
        return int(entry["pid"]), entry["started"], int(entry["signal"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _watch(run: Path) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while sys.stdin.buffer.read(4096):
        pass
    end_leftovers(run)


if __name__ == "__main__":
    _watch(Path(sys.argv[1]))
