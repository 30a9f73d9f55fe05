"""Celery over Kafka: which librdkafka handles this process has, and that none of them survives a fork.

A handle is a set of threads and sockets. After `fork` the child has the memory but not the threads: using such a
handle hangs, and so does destroying it, which Python would do as soon as the last reference goes. So the child
forgets its parent's handles and at the same time gives each one reference more than will ever be dropped.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

_lock = threading.Lock()
#: Reentrant, for making one shared thing may ask for another.
_making = threading.RLock()
_alive: dict[int, Any] = {}
_shared: dict[tuple[Any, ...], Any] = {}


def keep(handle: T) -> T:
    """Note a librdkafka handle made by this process, so that a forked child leaves it alone. Returns it."""
    with _lock:
        _alive[id(handle)] = handle
    return handle


def drop(handle: Any) -> None:
    """Forget a handle that this process has closed."""
    with _lock:
        _alive.pop(id(handle), None)


def shared(key: tuple[Any, ...], make: Callable[[], T]) -> T:
    """The one object of this process for `key`, made at the first call: producers and admin clients are costly."""
    found: T | None = _shared.get(key)
    if found is None:
        with _making:
            found = _shared.get(key)
            if found is None:
                found = _shared[key] = make()
    return found


def everything_shared() -> list[Any]:
    """What `shared` has made in this process."""
    return list(_shared.values())


def _forget_the_parents() -> None:
    global _lock, _making
    _lock, _making = threading.Lock(), threading.RLock()
    for handle in _alive.values():
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(handle))
    _alive.clear()
    _shared.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_the_parents)
