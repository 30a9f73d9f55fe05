"""Chaos: runs a command of `polling` with its clock off, with failpoints armed, or without one of its safeguards.

    python -P -m chaos.launch --clock=3600 --failpoint=committed-not-told:0.05 --without=acks-all api

The product has no hooks for this: what is changed here is changed from outside, in this process and those it forks.
A name that the product no longer has is an error, so that no fault is played in vain.
"""

from __future__ import annotations

import faulthandler
import functools
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from typing import Any, NamedTuple

from chaos import sabotage
from chaos.liveness import DUMP


class Failpoint(NamedTuple):
    """Where a process may die. `before` or else after the call of `owner`'s method `name`."""

    owner: Callable[[], type]
    name: str
    before: bool


def _recorder() -> type:
    from tasks.recording import Recorder

    return Recorder


def _publisher() -> type:
    from polling.live.publisher import LivePublisher

    return LivePublisher


def _bridge() -> type:
    from bridge.loop import Bridge

    return Bridge


def _reader() -> type:
    from bridge.reader import Reader

    return Reader


def _writer() -> type:
    from polling.vote_log.writer import VoteWriter

    return VoteWriter


FAILPOINTS = {
    "taken-not-counted": Failpoint(_recorder, "record", before=True),
    "committed-not-told": Failpoint(_recorder, "record", before=False),
    "told-not-acknowledged": Failpoint(_publisher, "results", before=False),
    "read-not-dispatched": Failpoint(_bridge, "_dispatch", before=True),
    "dispatched-not-noted": Failpoint(_bridge, "_hand_out", before=False),
    "counted-not-committed-to-kafka": Failpoint(_reader, "show_progress", before=True),
    "acknowledged-not-answered": Failpoint(_writer, "_settle", before=True),
}
"""Named for what has happened and what has not when the process dies there by SIGKILL."""


def arm(name: str, likelihood: float) -> None:
    """From now on a call there is the process's last with this likelihood."""
    point = FAILPOINTS[name]
    owner = point.owner()
    called = getattr(owner, point.name)

    def die() -> None:
        # The generator is made anew from the operating system's: forked children must not all die at the same turn.
        if random.SystemRandom().random() < likelihood:
            os.kill(os.getpid(), signal.SIGKILL)

    @functools.wraps(called)
    def passing(*args: Any, **kwargs: Any) -> Any:
        if point.before:
            die()
        answer = called(*args, **kwargs)
        if not point.before:
            die()
        return answer

    setattr(owner, point.name, passing)


def shift_clock(seconds: float) -> None:
    """Everything of ours that asks what time it is hears another one."""
    real = time.time
    time.time = lambda: real() + seconds

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.now(tz) + timedelta(seconds=seconds)

    from polling.api import batch, export, lane, poll, polls, series, votes
    from polling.casting import casting
    from polling.store import door
    from tasks import ranking

    for module in (batch, export, lane, poll, polls, series, votes, casting, door, ranking):
        if vars(module)["datetime"] is not datetime:
            raise AttributeError(f"{module.__name__} asks for the time in another way")
        vars(module)["datetime"] = Shifted


def main(words: list[str]) -> None:
    faulthandler.register(DUMP)
    while words and words[0].startswith("--"):
        option, _, value = words.pop(0).partition("=")
        if option == "--clock":
            shift_clock(float(value))
        elif option == "--failpoint":
            name, _, likelihood = value.partition(":")
            arm(name, float(likelihood))
        elif option == "--without":
            sabotage.switch_off(value)
        else:
            raise SystemExit(f"chaos.launch: {option} is no option")
    sys.argv = ["polling", *words]
    from polling.cli import main as polling

    polling()


if __name__ == "__main__":
    main(sys.argv[1:])
