"""The embedded stack: one merged log, made by following the files that all processes write."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from polling.local.processes import LOG_LIMIT

_PERIOD = 0.1
"""Seconds between two looks at the files."""
_AT_ONCE = 256 * 1024
"""Bytes taken from one file at a look, so that no part drowns the others."""


class Follower:
    """Tells `say` of each new line, as (name, line), in a thread of its own."""

    def __init__(self, files: Mapping[str, Path], say: Callable[[str, str], None]) -> None:
        self._files: dict[str, Path] = {}
        self._say = say
        self._offsets: dict[str, int] = {}
        self._rests: dict[str, bytes] = {}
        for name, path in files.items():
            self.add(name, path)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="follower", daemon=True)

    def add(self, name: str, path: Path) -> None:
        """Follows this file too, from its present end."""
        self._offsets[name] = path.stat().st_size if path.exists() else 0
        self._rests[name] = b""
        self._files[name] = path

    def start(self) -> None:
        """Begins to tell; a second call does nothing."""
        if self._thread.ident is None:
            self._thread.start()

    def stop(self) -> None:
        """Tells what is left, then ends."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def _follow(self) -> None:
        while True:
            last = self._stopping.wait(_PERIOD)
            for name, path in list(self._files.items()):
                self._look(name, path)
            if last:
                return

    def _look(self, name: str, path: Path) -> None:
        try:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size < self._offsets[name]:
                    # Put aside when its process started again.
                    self._offsets[name] = 0
                file.seek(self._offsets[name])
                arrived = file.read(_AT_ONCE)
        except FileNotFoundError:
            return
        self._offsets[name] += len(arrived)
        *lines, self._rests[name] = (self._rests[name] + arrived).split(b"\n")
        for line in lines:
            self._say(name, line.decode(errors="replace").rstrip())
        if size > LOG_LIMIT and self._offsets[name] >= size:
            # They all append, so the file may be emptied under them.
            shutil.copyfile(path, path.with_name(path.name + ".1"))
            os.truncate(path, 0)
            self._offsets[name] = 0
