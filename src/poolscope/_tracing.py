"""How a request is traced: what a tracing sink hears of one request, from that request's own task or thread.

1. Nothing is told under a lock, and what a trace raises ends tracing, never the request (`Observer.tell`).
2. A request that nobody traces costs tests against None.

Events do not serve here: whoever comes next may deliver them, and a span belongs under the request that caused it.
"""

from collections.abc import Callable
from typing import Any, Protocol

Handle = Callable[[Any], Any]
Leave = Callable[[], object]


class Trace(Protocol):
    """One sampled request. `Observer.tell` calls its methods by name, each with the request's checkout first.

    span_context: what an exemplar names, None where the request's span is not sampled. context: where that span is
    current.
    epoch: what added to a monotonic second gives the second since the epoch.
    """

    span_context: Any
    context: Any
    epoch: float

    def left(self, checkout: Any, exc: BaseException) -> None:
        """Hear that the pool raised: where no connection was handed over, this ends the wait."""

    def put_back(self, checkout: Any) -> None:
        """Hear that the connection which the request held is not available after all; a new wait begins."""

    def served(self, checkout: Any) -> None:
        """Hear that the connection which the request holds gave it a response, or failed it."""

    def connecting(self, checkout: Any, connection: Any, target: str) -> None:
        """Hear that an attempt to set a connection up begins, at its socket."""

    def connected(self, checkout: Any, connection: Any) -> None:
        """Hear that its socket is connected."""

    def securing(self, checkout: Any, host: str) -> None:
        """Hear that TLS begins."""

    def secured(self, checkout: Any, tls: Any) -> None:
        """Hear that TLS is up. tls: the ssl object, None where there is none to see."""

    def opened(self, checkout: Any, connection: Any) -> None:
        """Hear that the connection is ready for use."""

    def connect_failed(self, checkout: Any, error_type: str) -> None:
        """Hear that the attempt failed. It may be told twice."""

    def answered(self, checkout: Any) -> None:
        """Hear that the transport gave a response."""

    def judged(self, checkout: Any, attributes: Any) -> None:
        """Hear why the wait ended in PoolTimeout. attributes: the verdict, as plain values."""

    def failed(self, checkout: Any, exc: BaseException) -> None:
        """Hear that the transport raised."""

    def ended(self, checkout: Any) -> None:
        """Hear that the request ended: it failed, or its body was closed or dropped."""


class Tracing(Protocol):
    """What traces the requests of the pools of one sink.

    passive: it only notes which trace a request belongs to, and gives way to one that makes spans.
    """

    passive: bool

    def awake(self, now: float) -> bool:
        """Whether there is anything to trace for yet. now: a recent monotonic second."""

    def enter(self, checkout: Any, handle: Handle, request: Any, pool: str) -> tuple[Handle, Any, Leave | None]:
        """Take a request that enters the transport; give what to call, with which request, and what to do after it."""

    def inside(self, checkout: Any, request: Any, pool: str) -> None:
        """Take a request that enters the pool: set its `trace` where it is sampled. request: httpcore's."""
