"""Tells of leaks and of orphaned slots in the log, each place once.

Where no call site was noted, a place is a method and an origin.
"""

import logging

from poolscope import _contract as c
from poolscope import events as e
from poolscope._records import Checkout
from poolscope._subscription import Handlers, ObservedPool
from poolscope.diagnosis import _places
from poolscope.diagnosis._told import Once, Sometimes

logger = logging.getLogger("poolscope")

_ORPHANS_EVERY_SECONDS = 60.0

_ADVICE = (
    "httpcore 1.x loses slots when requests are cancelled (httpcore #1093; httpx2 has that fixed), and both do when "
    "TLS fails behind a proxy (#1023); closing the client gives them back"
)


class LossesLog:
    """Listens to one pool, as a sink does."""

    def __init__(self) -> None:
        self._told = Once()
        self._orphans = Sometimes(_ORPHANS_EVERY_SECONDS)

    def __repr__(self) -> str:
        return "the log of leaks and orphaned slots"

    def attach(self, pool: ObservedPool, /) -> Handlers:  # noqa: ARG002 - the protocol's
        """Give the handlers for one pool."""
        return {e.Leaked: self._leaked, e.GivenBack: self._given_back, e.SlotOrphaned: self._orphaned}

    def _leaked(self, event: e.Leaked) -> None:
        if event.request is None:
            message = "poolscope: the client of pool %r was collected unclosed, with %d open connections"
            logger.warning(message, event.pool, event.connections)
            return
        what = "was collected unclosed" if event.leak_type == c.RESPONSE_UNCLOSED else "is held for too long"
        self._tell(event, f"response {what}", event.leak_type)

    def _given_back(self, event: e.GivenBack) -> None:
        self._tell(event, "connection was given back", "given back")

    def _tell(self, event: e.Leaked | e.GivenBack, what: str, kind: str) -> None:
        checkout: Checkout = event.request
        _places.find({checkout})
        place = checkout.place or "its place is not known, call_sites=True would tell"
        about = f"{checkout.method} {event.address}:{event.port}"
        if self._told.first((kind, checkout.place or about)):
            words = ", ".join(word for word in (event.phase, place, checkout.runner) if word)
            message = "poolscope: pool %r: a %s, after %.1f s: %s, %s"
            logger.warning(message, event.pool, what, event.held_seconds, about, words)

    def _orphaned(self, event: e.SlotOrphaned) -> None:
        left_out = self._orphans.turn()
        if left_out is not None:
            more = f", and {left_out} before it" if left_out else ""
            message = "poolscope: pool %r lost a slot, %s to %s:%s%s: no request owns it, and none can have it. %s"
            logger.warning(message, event.pool, event.was, event.address, event.port, more, _ADVICE)
