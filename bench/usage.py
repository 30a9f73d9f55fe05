"""Measuring: what processes use, read from /proc: CPU and memory of a role's process with all its children."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

Roots = Mapping[str, int]
"""The process of each role."""

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGESIZE")
_LISTENS = "0A"
_MANY = ("postgres",)
"""Roles whose processes come and go with their clients, so that only all of them together say something."""


def cpu_seconds(roots: Roots) -> dict[str, float]:
    """CPU used so far by each role, its own and that of its children, those that have ended too."""
    return _by_role(roots, lambda fields: sum(map(int, fields[11:15])) / _TICKS)


def memory(roots: Roots) -> dict[str, float]:
    """Bytes in memory of each role; what its processes share counts for each of them."""
    return _by_role(roots, lambda fields: int(fields[21]) * _PAGE)


def own_memory(roots: Roots) -> dict[str, float]:
    """Megabytes that are each process's alone: without what it shares with others, such as PostgreSQL's buffers.

    The names are the role for its first process, `role 2`, `role 3`, … for its children in the order of their ids.
    """
    children, _ = _scan(lambda _fields: 0.0)
    found: dict[str, float] = {}
    for role, root in roots.items():
        family = sorted(_family(root, children), key=lambda pid: (pid != root, pid))
        sizes = [_status(pid, "RssAnon") for pid in family]
        if role in _MANY:
            found[role] = sum(sizes)
        else:
            found |= {role if n == 1 else f"{role} {n}": size for n, size in enumerate(sizes, 1)}
    return found


def megabytes(pid: int) -> float:
    """What one process has in memory."""
    return _status(pid, "VmRSS")


def listening(port: int) -> int:
    """How many sockets listen at this port of IPv4."""
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    rows = [line.split() for line in lines]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == _LISTENS for row in rows)


def _status(pid: int, field: str) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    _, named, rest = status.partition(f"{field}:")
    return int(rest.split()[0]) / 1024 if named else 0.0


def _by_role(roots: Roots, measure: Callable[[list[str]], float]) -> dict[str, float]:
    children, used = _scan(measure)
    return {role: sum(used.get(pid, 0.0) for pid in _family(root, children)) for role, root in roots.items()}


def _scan(measure: Callable[[list[str]], float]) -> tuple[dict[int, list[int]], dict[int, float]]:
    """Who is whose child, and what `measure` makes of each /proc/PID/stat, from its third field on."""
    children: dict[int, list[int]] = {}
    used: dict[int, float] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        pid = int(path.parent.name)
        children.setdefault(int(fields[1]), []).append(pid)
        used[pid] = measure(fields)
    return children, used


def _family(pid: int, children: Mapping[int, list[int]]) -> list[int]:
    return [pid, *(one for child in children.get(pid, ()) for one in _family(child, children))]
