"""The embedded stack: makes `jars.lock` anew, by `python -m polling.local.jar_lock`; for a change of version only.

This is the one place where dependencies are resolved. Everything else takes what the file lists.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from polling.local.jars import LOCK

WANTED = ("org.apache.kafka:kafka_2.13:3.9.2", "org.slf4j:slf4j-reload4j:1.7.36")
"""3.9 is the last line of Kafka that has ZooKeeper; it brings ZooKeeper along. The second lets both write logs."""

_HEADER = """\
# Kafka and ZooKeeper: every jar by coordinate, SHA-256 and size in bytes, in the order of the class path.
# Made from {wanted}
# by `python -m polling.local.jar_lock`, not by hand.
"""


def resolve() -> str:
    """The text of the lock: what jgo resolves from Maven Central now."""
    from jgo.maven import MavenContext, PythonResolver

    with tempfile.TemporaryDirectory() as scratch:
        context = MavenContext(resolver=PythonResolver(), repo_cache=Path(scratch), timeout=60)
        asked = [context.create_dependency(coordinate) for coordinate in WANTED]
        inputs, transitive = context.resolver.resolve(asked)
        lines = []
        for dependency in [*inputs, *transitive]:
            content = dependency.artifact.resolve().read_bytes()
            coordinate = f"{dependency.groupId}:{dependency.artifactId}:{dependency.version}"
            lines.append(f"{coordinate} {hashlib.sha256(content).hexdigest()} {len(content)}\n")
    return _HEADER.format(wanted=" and ".join(WANTED)) + "".join(lines)


if __name__ == "__main__":
    LOCK.write_text(resolve(), encoding="utf-8")
