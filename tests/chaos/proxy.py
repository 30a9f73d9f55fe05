"""Chaos: the network between two parts: a small TCP proxy whose links can be slow, cut, silent or torn.

The kinds of fault are those of Shopify's toxiproxy. All links live in one thread with a loop of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Coroutine
from typing import Any, Literal

import uvloop

from polling.local.addresses import HOST

Mode = Literal["open", "slow", "cut", "silent", "torn"]
"""open: as if it were not there. slow: each piece comes late. cut: connections are refused, those that stand are reset.
silent: half-open: they stand, and nothing arrives; when it ends they are reset. torn: reset in the middle of a piece.
"""

MODES: tuple[Mode, ...] = ("slow", "cut", "silent", "torn")

_PIECE = 65_536
_SLOWEST = 0.4  # seconds by which a piece is late on a slow link
_TEARING = 0.2  # how likely a piece is torn on a torn link


class _Gone(Exception):
    """The other end was reset meanwhile."""


class Link:
    """From one part to one server. `port` is where the part goes instead of `target`."""

    def __init__(self, name: str, port: int, target: int, chance: random.Random) -> None:
        self.name = name
        self.port = port
        self.target = target
        self.mode: Mode = "open"
        self._chance = chance
        self._writers: set[asyncio.StreamWriter] = set()
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, HOST, self.port, limit=2 * _PIECE)

    async def turn(self, mode: Mode) -> None:
        """From now on the link is like this."""
        before, self.mode = self.mode, mode
        if mode == "cut" or before == "silent":
            self._reset()
        self._changed.set()
        self._changed = asyncio.Event()

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._reset()

    def _reset(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.mode == "cut":
            writer.transport.abort()
            return
        try:
            there_reader, there_writer = await asyncio.open_connection(HOST, self.target, limit=2 * _PIECE)
        except OSError:
            writer.transport.abort()  # as where nobody listens
            return
        both = {writer, there_writer}
        self._writers |= both
        try:
            await asyncio.gather(self._carry(reader, there_writer), self._carry(there_reader, writer))
        except (OSError, _Gone):
            pass  # one end is gone, so the other one goes: that is what a reset does
        finally:
            for one in both:
                one.transport.abort()
            self._writers -= both

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(_PIECE):
            while self.mode == "silent":
                await self._changed.wait()
            if self.mode == "slow":
                await asyncio.sleep(self._chance.uniform(0, _SLOWEST))
            elif self.mode == "torn" and len(piece) > 1 and self._chance.random() < _TEARING:
                writer.write(piece[: self._chance.randrange(1, len(piece))])
                with contextlib.suppress(OSError):
                    await asyncio.wait_for(writer.drain(), 1)
                raise ConnectionResetError
            if writer.transport.is_closing():
                raise _Gone
            writer.write(piece)
            await writer.drain()
        if writer.can_write_eof() and not writer.transport.is_closing():
            writer.write_eof()


class Network:
    """All links, by name."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)
        self._thread.start()
        self.links: dict[str, Link] = {}

    def add(self, name: str, port: int, target: int) -> None:
        """A new link, open."""

        async def make() -> None:
            link = Link(name, port, target, random.Random(f"{self._seed} {name}"))
            await link.listen()
            self.links[name] = link

        self._do(make())

    def turn(self, name: str, mode: Mode) -> None:
        """Makes a link be like this from now on."""
        self._do(self.links[name].turn(mode))

    def heal(self) -> None:
        """All links are open again."""
        for name in self.links:
            self.turn(name, "open")

    def close(self) -> None:
        for link in self.links.values():
            self._do(link.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)
