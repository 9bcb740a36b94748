"""What the transports of one pool ask of diagnosis: verdicts, call sites, and the slots of leaked responses.

A response that was collected unclosed is closed, where that was asked for, by the next request that enters: its
finalizer may run under the pool's lock, or in another thread than the event loop's.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from poolscope import _contract as c
from poolscope._observer import Observer
from poolscope._records import Checkout
from poolscope.diagnosis import _places
from poolscope.diagnosis._verdicts import Verdicts


@dataclass(frozen=True, slots=True)
class Options:
    """What a user asks of diagnosis. The arguments of `InstrumentedTransport` and `instrument`, checked.

    Raises TypeError or ValueError naming the argument.
    """

    call_sites: bool = False
    held_too_long_seconds: float | None = None
    reclaim: bool = False

    def __post_init__(self) -> None:
        for name in ("call_sites", "reclaim"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} takes True or False, got {getattr(self, name)!r}")
        seconds = self.held_too_long_seconds
        if seconds is not None and (
            not isinstance(seconds, int | float) or isinstance(seconds, bool) or not seconds > 0
        ):
            raise ValueError(f"held_too_long_seconds takes seconds, a number above zero, or None, got {seconds!r}")


class Watch:
    """Watches one pool. options: what its user asked for. at_entry: whether a request that enters has to do here."""

    def __init__(self, observer: Observer, options: Options) -> None:
        self.at_entry = options.call_sites or options.reclaim
        self.explain = Verdicts(observer).explain
        self._observer = observer
        self.options = options
        self._pool_gone = False
        observer.pool.losses.held_too_long_seconds = options.held_too_long_seconds

    def entered(self, checkout: Checkout | None) -> None:
        """Note where a request was made, where that was asked for."""
        if self.options.call_sites and checkout is not None:
            _places.note(checkout)

    def unclosed(self) -> Iterator[Any]:
        """Give the bodies that the request which enters now shall close."""
        waiting = self._observer.own().unclosed
        if waiting:
            self._observer.take(_settled)  # they count as leaks first
        while waiting:
            body, leaked = waiting.popleft()
            if leaked.connection is not None:
                leaked.connection.closing = leaked.connection.closing or c.RESPONSE_UNREAD
            yield body

    def dropped(self, body: Any, checkout: Checkout) -> None:
        """Take the body of a response that was collected unclosed. Called by its finalizer: this only appends."""
        owner = self._observer.owner()
        if owner is None or not self.options.reclaim:  # without a transport no request enters any more
            return
        if checkout.connection is not None and not checkout.connection.upgraded:
            owner.unclosed.append((body, checkout))

    def pool_collected(self) -> None:
        """Note that the pool was collected. Called by its finalizer: another one may still close the client."""
        self._pool_gone = True

    def connection_dropped(self) -> None:
        """Note that a connection was collected, and warn where nobody had closed it before its pool went.

        Called by its finalizer: what a warning filter raises here, nobody gets.
        """
        observer = self._observer
        connections = observer.pool.losses.still_open() if self._pool_gone and observer.pool.live else 0
        if connections:
            self._pool_gone = False  # told once
            observer.defer(observer.pool.losses.collected, connections)
            message = (
                f"the client of pool {observer.name!r} was collected unclosed, with {connections} open connections"
            )
            warnings.warn(message, ResourceWarning, stacklevel=2)


def _settled(_: float) -> None:
    return None
