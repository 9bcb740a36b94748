"""Locks that a forked child finds free, whoever held them in its parent at that moment.

A fork copies memory while other threads are in the middle of something; those threads are not in the child, so a lock
of theirs would never be given back there, and the child's first request would hang.
"""

import os
import threading
from typing import Any
from weakref import WeakSet

_made: WeakSet[Any] = WeakSet()


def new_lock() -> threading.Lock:
    """Make a lock."""
    lock = threading.Lock()
    _made.add(lock)
    return lock


def _free_all() -> None:
    for lock in _made:
        lock._at_fork_reinit()  # noqa: SLF001 - what CPython's own modules do to theirs


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_free_all)
