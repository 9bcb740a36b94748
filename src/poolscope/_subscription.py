"""How a sink hears of a pool: the small public protocol, and the queue between the two.

An event waits in the queue until the pool's lock is released; then the thread or task that caused it delivers it.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from poolscope.events import Event

if TYPE_CHECKING:
    from poolscope._reading import Reading
    from poolscope._snapshot import PoolSnapshot
    from poolscope._tracing import Tracing

Handlers = Mapping[type[Event], Callable[[Any], None]]


class ObservedPool(Protocol):
    """What a sink may ask of a pool."""

    @property
    def name(self) -> str:
        """The pool's name."""

    @property
    def in_use(self) -> int:
        """How many slots no other request can have."""

    @property
    def live(self) -> bool:
        """Whether somebody can still use the pool: not closed, and not collected."""

    @property
    def owned(self) -> bool:
        """Whether a transport still holds the pool."""

    @property
    def over(self) -> bool:
        """Whether nothing is running, nothing is open, and nothing is left to say."""

    def read(self, then: Callable[[], None] | None = None) -> "Reading":
        """Give one consistent copy of everything counted. then: done at the same moment; it may only append or cut."""

    def snapshot(self) -> "PoolSnapshot":
        """Give the typed picture of the pool now."""

    def subscribe(self, sinks: "Iterable[Sink]") -> None:
        """Attach sinks."""

    def trace(self, tracing: "Tracing") -> None:
        """Let `tracing` follow every request from now on."""


class Subscription:
    """The events of one pool on their way to one sink. handlers: what is called, by the type of event."""

    def __init__(self, handlers: Mapping[Any, Callable[[Any], None]]) -> None:
        self.handlers = dict(handlers)
        self.queue: deque[Any] = deque()
        self.sink: object = None

    def flush(self) -> None:
        """Deliver what waits. Called without the pool's lock, from whichever thread caused the last event."""
        while self.queue:
            try:
                event = self.queue.popleft()
            except IndexError:  # another thread was faster
                return
            self.handlers[type(event)](event)


class Sink(Protocol):
    """Hears of pools. Write your own by giving handlers for the events that you want; they must be quick.

    A handler that raises is logged by the sink's `repr` and never called again; requests and other sinks go on.
    """

    def attach(self, pool: ObservedPool, /) -> Handlers | Subscription:
        """Give the handlers for one pool's events, by type. Called once, when the pool is instrumented."""
