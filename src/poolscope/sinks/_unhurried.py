"""Going through many things in one thread without standing in the way of the others.

CPython hands its lock (the GIL) to a thread that waits for it only every `sys.getswitchinterval()`, 5 ms, or when the
one that has it sleeps. A collection computes for hundreds of milliseconds, so each time that an event loop of another
thread wakes up meanwhile it would stand for 5 ms. So a collection sleeps, shortly and often. Where others compute, too,
they let it wait after each rest; it then works for as long as it waited, so that it comes to its end.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

_WORK_SECONDS = 0.001
_REST_SECONDS = 0.00005
"""Enough for a thread that waits to wake up; a sleep of 0 may be over before it did."""


def unhurried(things: Iterable[T]) -> Iterator[T]:
    """Give the things, and sleep a moment after each millisecond of work on them; not in an event loop's own thread."""
    may_rest = not _in_a_loop()
    rest_at = time.monotonic() + _WORK_SECONDS
    for thing in things:
        yield thing
        if may_rest and (began := time.monotonic()) > rest_at:
            time.sleep(_REST_SECONDS)
            ended = time.monotonic()
            rest_at = ended + max(_WORK_SECONDS, ended - began)


def _in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
