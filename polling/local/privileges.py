"""The embedded stack: how a server that refuses to run as root is run by root."""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Sequence
from pathlib import Path

from polling.local.errors import ServerFailed

_USER = "nobody"
"""The one ordinary user that every machine has: none is created for this."""

_CAPABILITIES = {"dac_read_search": 2, "dac_override": 1}
"""Either lets a process pass directories closed to it; the narrower one first, with its bit."""


def give_up_root(own: Sequence[Path], needed: Path) -> Sequence[str]:
    """The words to put before a command, so that it runs as an ordinary user where we are root; else none.

    `own` become that user's; `needed` is where it must be able to look. The checkout may well lie where only
    root can go (`/root`). Then the command keeps the one capability to pass there, instead of that place being
    opened to everybody.

    Raises:
        ServerFailed: we are root, but may not do that.
    """
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise ServerFailed("postgres: refuses to run as root, and the program setpriv (of util-linux) is missing.")
    user = pwd.getpwnam(_USER)
    for path in own:
        os.chown(path, user.pw_uid, user.pw_gid)
    words = [setpriv, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--no-new-privs"]
    barriers = [_closed_above(place) for place in (*own, needed)]
    closed = next((barrier for barrier in barriers if barrier is not None), None)
    if closed is None:
        return words
    held = _held_capabilities()
    kept = next((name for name, bit in _CAPABILITIES.items() if held >> bit & 1), None)
    if kept is None:
        raise ServerFailed(f"postgres: refuses to run as root, and the user {_USER} may not enter {closed}.")
    caps = f"-all,+{kept}"
    # Without the secure bit access(2), by which initdb looks for its fellow programs, would pass the capability over.
    bits = "--securebits=+no_setuid_fixup"
    return [*words, bits, f"--inh-caps={caps}", f"--ambient-caps={caps}", f"--bounding-set={caps}"]


def _closed_above(place: Path) -> Path | None:
    """The first directory on the way there that others may not enter."""
    return next((path for path in reversed(place.resolve().parents) if not path.stat().st_mode & 0o001), None)


def _held_capabilities() -> int:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), 16)
