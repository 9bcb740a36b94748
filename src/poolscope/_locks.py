"""Locks that a forked child finds free, and that no thread waits for because it holds them itself.

1. A fork copies memory while other threads are in the middle of something; those threads are not in the child, so a
   lock of theirs would never be given back there, and the child's first request would hang.
2. The garbage collector and signals run others' code in the middle of ours. A finalizer that closes a client comes to
   the very lock that this thread holds: so it is given it again, or asks first (`is_mine`).
3. Of others' locks nobody can say who holds them, prometheus_client's for one. So what takes them, which sinks do, is
   left for later where the garbage collector is running others' code (`collecting`).
"""

import gc
import os
import threading
from typing import Any
from weakref import WeakSet

_made: WeakSet[Any] = WeakSet()
_collector = 0


def new_lock(*, again: bool = True) -> Any:
    """Make a lock. again: whether the thread that holds it is given it once more."""
    lock = threading.RLock() if again else threading.Lock()
    _made.add(lock)
    return lock


def is_mine(lock: Any) -> bool:
    """Whether the running thread holds this lock, one that it is given again."""
    return lock._is_owned()  # type: ignore[no-any-return]  # noqa: SLF001 - what `threading.Condition` asks it


def collecting() -> bool:
    """Whether the running thread is in the midst of a garbage collection."""
    return _collector == threading.get_ident()


def _note(phase: str, _: object) -> None:
    """Note which thread collects garbage. There is one at a time; the collector calls this."""
    global _collector  # noqa: PLW0603 - it is the process's
    _collector = threading.get_ident() if phase == "start" else 0


gc.callbacks.append(_note)


def _free_all() -> None:
    global _collector  # noqa: PLW0603 - it is the process's
    if not collecting():  # another thread did, which is not in the child
        _collector = 0
    for lock in _made:
        lock._at_fork_reinit()  # noqa: SLF001 - what CPython's own modules do to theirs


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_free_all)
