"""The jars: only what the lock pins is ever used. A small Maven repository on the loopback stands in for Central."""

from __future__ import annotations

import functools
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from polling.local.errors import Cancelled, JarMismatch, JarsUnavailable
from polling.local.jar_lock import WANTED
from polling.local.jars import ensure_jars, read_lock

CONTENT = b"not really a jar" * 1000


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A repository with the one artifact `a.b:thing:1`."""
    place = tmp_path / "repository" / "a" / "b" / "thing" / "1"
    place.mkdir(parents=True)
    (place / "thing-1.jar").write_bytes(CONTENT)
    handler = functools.partial(_Quiet, directory=str(tmp_path / "repository"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield {"here": f"http://127.0.0.1:{server.server_port}"}
        server.shutdown()
        thread.join()


def _lock(tmp_path: Path, content: bytes = CONTENT, coordinate: str = "a.b:thing:1") -> Path:
    lock = tmp_path / "jars.lock"
    lock.write_text(f"# a comment\n{coordinate} {hashlib.sha256(content).hexdigest()} {len(content)}\n")
    return lock


def test_what_is_missing_is_downloaded_once(tmp_path: Path, repository: dict[str, str]) -> None:
    words: list[str] = []
    cache = tmp_path / "cache"
    jars = ensure_jars(cache, words.append, _lock(tmp_path), repository)
    assert [jar.read_bytes() for jar in jars] == [CONTENT]
    assert "1 jars" in words[0]

    again: list[str] = []
    assert ensure_jars(cache, again.append, _lock(tmp_path), {"nowhere": "http://127.0.0.1:9"}) == jars
    assert again == []


def test_another_file_than_the_pinned_one_is_refused(tmp_path: Path, repository: dict[str, str]) -> None:
    cache = tmp_path / "cache"
    expected = CONTENT[::-1]
    with pytest.raises(JarMismatch, match=r"a\.b:thing:1: .* not what jars\.lock pins .*nothing was run") as error:
        ensure_jars(cache, lambda word: None, _lock(tmp_path, expected), repository)
    assert hashlib.sha256(expected).hexdigest() in str(error.value)
    assert list(cache.glob("**/*.jar")) == []


def test_a_damaged_jar_in_the_cache_is_replaced(tmp_path: Path, repository: dict[str, str]) -> None:
    cache = tmp_path / "cache"
    (jar,) = ensure_jars(cache, lambda word: None, _lock(tmp_path), repository)
    jar.write_bytes(CONTENT[:-1] + b"!")
    ensure_jars(cache, lambda word: None, _lock(tmp_path), repository)
    assert jar.read_bytes() == CONTENT


def test_a_jar_that_is_nowhere_is_named(tmp_path: Path, repository: dict[str, str]) -> None:
    lock = _lock(tmp_path, coordinate="a.b:thing:2")
    with pytest.raises(JarsUnavailable, match=r"a\.b:thing:2 could not be downloaded"):
        ensure_jars(tmp_path / "cache", lambda word: None, lock, repository)


def test_a_listener_that_objects_ends_the_download(tmp_path: Path, repository: dict[str, str]) -> None:
    def object_to_it(words: str) -> None:
        raise Cancelled(words)

    with pytest.raises(Cancelled):
        ensure_jars(tmp_path / "cache", object_to_it, _lock(tmp_path), repository)


def test_the_real_lock_pins_everything() -> None:
    jars = read_lock()
    coordinates = [jar.coordinate for jar in jars]
    assert set(WANTED) <= set(coordinates)
    assert len(set(coordinates)) == len(coordinates)
    assert any(coordinate.startswith("org.apache.zookeeper:zookeeper:") for coordinate in coordinates)
    assert all(coordinate.count(":") == 2 for coordinate in coordinates)
    assert all(len(bytes.fromhex(jar.sha256)) == 32 and jar.size > 0 for jar in jars)
