"""Step 7 of 7, show: one frame to many sockets, in slices, so that votes and pings are served in between."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

from polling.telemetry import metrics
from websocket.viewer import Viewer

SLICE = 500
"""Sockets served before others get a turn: some 5 ms."""


def broadcast(
    loop: asyncio.AbstractEventLoop,
    subject: str,
    frame: bytes,
    viewers: Collection[Viewer],
    passed_over: Collection[Viewer] = (),
) -> None:
    """Sends the frame to all who are among `viewers` now, and still are when their turn comes.

    Those in `passed_over` have it already.
    """
    receivers = [viewer for viewer in viewers if viewer not in passed_over] if passed_over else list(viewers)
    metrics.frames_sent.inc(len(receivers))
    for viewer in receivers[:SLICE]:
        viewer.show(subject, frame)
    if len(receivers) > SLICE:
        loop.call_soon(_next_slice, loop, subject, frame, viewers, receivers, SLICE)


def _next_slice(
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
            viewer.show(subject, frame)
    if end < len(receivers):
        loop.call_soon(_next_slice, loop, subject, frame, viewers, receivers, end)
