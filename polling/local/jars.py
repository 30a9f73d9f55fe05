"""The embedded stack: Kafka's and ZooKeeper's jars, each of the version and SHA-256 that `jars.lock` pins.

Fetched once by jgo, without resolving anything; verified when they arrive and again at every start.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import platformdirs

from polling.local.errors import Cancelled, JarMismatch, JarsUnavailable

LOCK = Path(__file__).with_name("jars.lock")
_DOWNLOADS = 8
"""At the same time."""
_STEP = 4_000_000
"""Bytes between two words about them."""


@dataclasses.dataclass(frozen=True)
class Jar:
    """One line of `jars.lock`: `group:artifact:version`, its SHA-256 in hex digits, its size in bytes."""

    coordinate: str
    sha256: str
    size: int

    @property
    def file_name(self) -> str:
        """Unique: two groups may have an artifact of the same name."""
        return self.coordinate.replace(":", "-") + ".jar"


def read_lock(lock: Path = LOCK) -> list[Jar]:
    """The pinned jars, in the order of the class path."""
    lines = (line.split() for line in lock.read_text(encoding="utf-8").splitlines())
    return [Jar(line[0], line[1], int(line[2])) for line in lines if line and not line[0].startswith("#")]


def cache_directory(data_dir: Path, lock: Path = LOCK) -> Path:
    """Where the jars of that lock are kept: the user's cache, or the data directory where that is closed to us."""
    name = f"jars-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    shared = platformdirs.user_cache_path("live-polling") / name
    try:
        shared.mkdir(parents=True, exist_ok=True)
        (shared / "lock").touch()
    except OSError:
        own = data_dir / name
        own.mkdir(parents=True, exist_ok=True)
        return own
    return shared


def ensure_jars(
    cache: Path,
    on_progress: Callable[[str], None],
    lock: Path = LOCK,
    repositories: Mapping[str, str] | None = None,
) -> list[Path]:
    """The class path: every pinned jar, verified, downloaded where it is missing or damaged.

    `on_progress` is told what happens, in words for the user. `repositories` are Maven repositories, name to
    URL; Maven Central where None is given. What `on_progress` raises ends the downloads.

    Raises:
        JarMismatch: a repository gave another file than the one that is pinned.
        JarsUnavailable: a jar could not be downloaded.
    """
    jars = read_lock(lock)
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("a") as held:
        # Two starts at once on an empty cache: the second waits, and finds all there.
        fcntl.flock(held, fcntl.LOCK_EX)
        missing = [jar for jar in jars if not _is_right(cache / jar.file_name, jar)]
        if missing:
            _download(missing, cache, on_progress, repositories)
    return [cache / jar.file_name for jar in jars]


def _is_right(path: Path, jar: Jar) -> bool:
    if not path.exists() or path.stat().st_size != jar.size:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == jar.sha256


def _download(
    jars: Sequence[Jar],
    cache: Path,
    on_progress: Callable[[str], None],
    repositories: Mapping[str, str] | None,
) -> None:
    # Only now, and not at every start: jgo brings an HTTP client along.
    from jgo.maven import MavenContext, PythonResolver

    partial = cache / "partial"
    shutil.rmtree(partial, ignore_errors=True)
    progress = _Progress(sum(jar.size for jar in jars), on_progress)
    context = MavenContext(
        resolver=PythonResolver(progress_callback=progress.of_file),
        repo_cache=partial,
        remote_repos=None if repositories is None else dict(repositories),
        timeout=10,
    )

    def fetch(jar: Jar) -> None:
        group, artifact, version = jar.coordinate.split(":")
        try:
            arrived = context.project(group, artifact).at_version(version).artifact().resolve()
        except (OSError, RuntimeError) as error:
            raise JarsUnavailable(f"{jar.coordinate} could not be downloaded: {error}") from error
        if not _is_right(arrived, jar):
            raise JarMismatch(
                f"{jar.coordinate}: what was downloaded is not what jars.lock pins (SHA-256 {jar.sha256}); "
                "nothing was run with it."
            )
        arrived.replace(cache / jar.file_name)

    on_progress(f"downloading Kafka and ZooKeeper: {len(jars)} jars, {progress.total / 1e6:.0f} MB, once")
    with ThreadPoolExecutor(_DOWNLOADS) as pool:
        try:
            for _ in pool.map(fetch, jars):
                pass
        finally:
            progress.stopped = True
            pool.shutdown(cancel_futures=True)
            shutil.rmtree(partial, ignore_errors=True)


class _Progress:
    """Adds up the bytes of all downloads, says so now and then, and ends them all once one has failed."""

    def __init__(self, total: int, on_progress: Callable[[str], None]) -> None:
        self.total = total
        self.stopped = False
        self._on_progress = on_progress
        self._arrived = 0
        self._told = 0
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def of_file(self, _name: str, _size: int) -> Iterator[Callable[[int], None]]:
        """In the form that jgo asks for."""
        yield self._more

    def _more(self, size: int) -> None:
        with self._lock:
            self._arrived += size
            tell = self._arrived - self._told >= _STEP
            if tell:
                self._told = self._arrived
        if self.stopped:
            raise Cancelled("stopped while downloading.")
        if tell:
            self._on_progress(
                f"downloading Kafka and ZooKeeper: {self._arrived / 1e6:.0f} of {self.total / 1e6:.0f} MB"
            )
