"""What diagnosis asks and no metric says.

Noted off the warm path alone: where a connection is made, a request fails, a pool is made or ends.
Every step is called with the pool's lock held and the current monotonic second `now`.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from weakref import ref

from poolscope._records import Connection

LATE_SECONDS = 0.05
"""An event loop that is free resumes a task in well under a millisecond; this is what a user begins to feel."""

ENDED: deque[Any] = deque(maxlen=32)
"""The observers of the last pools of this process that nobody can use any more. Finalizers append."""


class Seen:
    """What was seen of one pool's use.

    asynchronous: its transport is. file: the source file that made it, empty where its client was instrumented in
    place. since: the first connection was wanted. requests: those whose timeouts were looked at, the ones that had a
    connection made; without_pool_timeout: of these. pool_timeout_seconds: the longest seen, and read_timeout_seconds:
    beside it; both None where none was seen. hand_overs: how often a request was given a slot to connect;
    late_hand_overs: of these, after more than LATE_SECONDS until the request ran on; late_seconds: their sum.
    loop_changes: how often it was used in another event loop than before, without having been closed.
    """

    def __init__(self) -> None:
        self.asynchronous = False
        self.file = ""
        self.since: float | None = None
        self.requests = self.without_pool_timeout = 0
        self.pool_timeout_seconds: float | None = None
        self.read_timeout_seconds: float | None = None
        self.hand_overs = self.late_hand_overs = 0
        self.late_seconds = 0.0
        self.loop_changes = 0
        self.loop: ref[asyncio.AbstractEventLoop] | None = None

    def wanted(self, timeouts: Mapping[str, float | None], now: float) -> None:
        """Note the timeouts (seconds, None for no timeout) of a request that has a connection made."""
        self.since = now if self.since is None else self.since
        self.requests += 1
        pool, read = timeouts.get("pool"), timeouts.get("read")
        if pool is None:
            self.without_pool_timeout += 1
        elif pool > (self.pool_timeout_seconds or 0.0):
            self.pool_timeout_seconds, self.read_timeout_seconds = pool, read

    def began(self, connection: Connection, now: float) -> None:
        """Note that a request begins to connect: how long it took to run on after it was given the slot for that.

        That time is the event loop's doing, not the pool's. Further attempts to connect say nothing.
        """
        self.ran(now)
        if connection.connecting_at == connection.busy_at:
            self.hand_overs += 1
            delay = now - connection.busy_at
            if delay > LATE_SECONDS:
                self.late_hand_overs += 1
                self.late_seconds += delay

    def ran(self, now: float) -> None:  # noqa: ARG002 - a step has it
        """Note the event loop that runs. Trio has none that a connection belongs to."""
        with suppress(RuntimeError):
            loop = ref(asyncio.get_running_loop())
            if self.asynchronous and self.loop not in (None, loop):
                self.loop_changes += 1
            self.loop = loop
