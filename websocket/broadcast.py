"""Step 7 of 7, show: one frame to many sockets, in slices, so that votes and pings are served in between."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Container, Mapping, Sequence

from polling.telemetry import metrics
from websocket.viewer import Viewer

SLICE = 500
"""Sockets served before others get a turn: some 5 ms."""


def broadcast(
    loop: asyncio.AbstractEventLoop,
    subject: str,
    frame: bytes,
    viewers: Collection[Viewer],
    passed_over: Container[Viewer] | Mapping[Viewer, object] = (),
) -> None:
    """Sends the frame to all who are among `viewers` now, and still are when their turn comes.

    Those in `passed_over` have it already.
    """
    _slice(loop, subject, frame, viewers, [viewer for viewer in viewers if viewer not in passed_over], 0)


def _slice(
    loop: asyncio.AbstractEventLoop,
    subject: str,
    frame: bytes,
    viewers: Collection[Viewer],
    receivers: Sequence[Viewer],
    start: int,
) -> None:
    end = start + SLICE
    for viewer in receivers[start:end]:
        if viewer in viewers:
            viewer.outbox.show(subject, frame)
    metrics.frames_sent.inc(min(end, len(receivers)) - start)
    if end < len(receivers):
        loop.call_soon(_slice, loop, subject, frame, viewers, receivers, end)
