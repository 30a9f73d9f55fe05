"""Measuring: helper processes of our own, that end with us."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.system import BenchError

_ROOT = Path(__file__).parents[1]
_LIMIT = 15.0


@contextmanager
def helper(module: str, words: Sequence[object]) -> Iterator[subprocess.Popen[str]]:
    """Runs `python -m bench.MODULE WORDS…` until the end of `with`, from when it says its first line.

    It must end when its standard input does, which also happens should we be killed.
    """
    command = [sys.executable, "-m", f"bench.{module}", *map(str, words)]
    process = subprocess.Popen(
        command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise BenchError(f"bench.{module} did not start")
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def ask(process: subprocess.Popen[str], line: str) -> str:
    """What a helper says to a line.

    Raises:
        BenchError: it ended.
    """
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(line + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
    except BrokenPipeError:
        answer = ""
    if not answer:
        raise BenchError("a helper process ended; what it says of that is above")
    return answer
