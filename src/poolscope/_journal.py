"""Where a pool's facts go: to the sinks that asked for their type.

A fact is posted under the pool's lock, so posting may only append; it is delivered after the lock is released.
"""

from collections.abc import Callable
from typing import Any

from poolscope._tally import OriginTally
from poolscope.events import EVENTS, Event


class Journal:
    """The facts of one pool. wanted: per type of event, who appends it; empty where nobody asked (the usual case)."""

    __slots__ = ("pool", "wanted")

    def __init__(self, pool: str) -> None:
        self.pool = pool
        self.wanted: dict[type, tuple[Callable[[Any], None], ...]] = dict.fromkeys(EVENTS, ())

    def post(self, kind: type[Event], tally: OriginTally, now: float, *facts: object) -> None:
        """Build one event and hand it to everyone who asked. Called only where `wanted[kind]` is not empty."""
        event = kind(self.pool, tally.address, tally.port, now, *facts)
        for post in self.wanted[kind]:
            post(event)

    def want(self, kind: type, post: Callable[[Any], None]) -> None:
        """Ask for a type of event."""
        self.wanted[kind] = (*self.wanted.get(kind, ()), post)

    def unwant(self, post: Callable[[Any], None]) -> None:
        """Ask for nothing any more."""
        for kind, posts in self.wanted.items():
            self.wanted[kind] = tuple(other for other in posts if other != post)
