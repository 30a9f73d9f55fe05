"""Chaos: small disks that get full, and disks that are erased."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from pathlib import Path

DISK_MIB = {"kafka": 1024, "postgres": 1536}
"""The sizes of the small disks, by what they are for: half an hour of votes must fit."""


def small_disks(folder: Path, servers: dict[str, str]) -> list[Path]:
    """Mounts a small disk in memory for each server's data, by the server's name and its kind; what was mounted.

    Raises:
        OSError: this needs root, and the right to mount.
    """
    mounted: list[Path] = []
    for name, kind in servers.items():
        path = folder / name
        path.mkdir(parents=True)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB[kind]}m", "polling-chaos", str(path)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            unmount(mounted)
            raise OSError(done.stderr.strip())
        mounted.append(path)
    return mounted


def unmount(mounted: list[Path]) -> None:
    for path in mounted:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def fill(filler: Path) -> None:
    """Writes that file until the disk has no more room."""
    with contextlib.suppress(OSError), filler.open("wb") as file:
        while True:
            file.write(bytes(1 << 20))


def erase(folder: Path) -> None:
    """Deletes all that is in it."""
    for entry in folder.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
