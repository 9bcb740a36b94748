"""The trace of one sampled request: its waits and set-ups as spans, made afterwards with explicit times.

1. Every span of ours lies inside the span that is the request's at the pool, whoever made that one.
2. Everything here is called by the request's own task or thread.
"""

import time
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context
from opentelemetry.trace import Span, StatusCode, set_span_in_context
from opentelemetry.util.types import AttributeValue

from poolscope import _contract as c
from poolscope._records import Checkout, Connection, error_type
from poolscope._transitions import DONE, HOLDING
from poolscope.sinks import _client_span
from poolscope.sinks._attempt import Attempt, Step

if TYPE_CHECKING:
    from poolscope.sinks._tracing import Tracing

_HANDOVER_SECONDS = 0.001
"""A wait that is shorter is the hand-over itself, also in a pool that is full."""
_REDIRECTS = range(300, 400)
_NOT_SHOWN = {"exception.message": "not shown: it may quote a header's value", "exception.stacktrace": ""}
"""What is recorded of an exception that says which of the request's own bytes are no HTTP."""


class Trace:
    """One sampled request.

    span: its own, at the pool. own: whether we made it, and end it. context: where that span is current.
    """

    __slots__ = (
        "_attempt",
        "_begun_at",
        "_begun_ns",
        "_origin",
        "_own",
        "_tracing",
        "_waited_seconds",
        "context",
        "epoch",
        "pool",
        "span",
        "span_context",
    )

    def __init__(self, tracing: "Tracing", span: Span, context: Context, pool: str, *, own: bool) -> None:
        self.span = span
        self.context = context
        self.pool = pool
        span_context = span.get_span_context()
        self.span_context = span_context if span_context.trace_flags.sampled else None
        self.epoch = self._begun_at = 0.0
        self._begun_ns = 0
        self._tracing = tracing
        self._own = own
        self._origin: Any = None
        self._attempt: Attempt | None = None
        self._waited_seconds = 0.0

    def begin(self, request: Any) -> None:
        """Take the time at which the request enters the pool. request: httpcore's.

        The monotonic clock comes second: a thread that is set aside between the two has spans that are early, never
        such as end after the request's own.
        """
        self._begun_ns = time.time_ns()
        self._begun_at = time.monotonic()
        self.epoch = self._begun_ns / 1e9 - self._begun_at
        self._origin = request.url

    def left(self, checkout: Checkout, exc: BaseException) -> None:
        """End the wait that came to nothing."""
        if checkout.state != DONE and not checkout.holds:
            self._wait(checkout, time.monotonic(), error_type(exc))
            self._tell_of(checkout)

    def put_back(self, checkout: Checkout) -> None:
        """End the wait for a connection that turned out not to be available, where it was held."""
        if checkout.state == HOLDING:
            self._wait(checkout, checkout.offered_at)

    def served(self, checkout: Checkout) -> None:
        """Tell of the wait and of the connection."""
        connection = checkout.connection
        if connection is None or not checkout.holds:
            return
        self._wait(checkout, checkout.offered_at)
        if checkout.joined and connection.setup is not None and connection.opened_at >= checkout.offered_at:
            self.span.add_link(connection.setup)
        self._tell_of(checkout)

    def connecting(self, checkout: Checkout, connection: Connection, target: str) -> None:  # noqa: ARG002 - the protocol's
        """Begin an attempt."""
        attributes = {**self._where(), c.CONNECTION_ID: connection.id}
        self._attempt = Attempt(self._name(c.SETUP_SPAN), target, attributes)

    def connected(self, checkout: Checkout, connection: Connection) -> None:  # noqa: ARG002 - the protocol's
        """Note whom the socket speaks to."""
        if self._attempt is not None:
            self._attempt.connected(connection.peer)

    def securing(self, checkout: Checkout, host: str) -> None:  # noqa: ARG002 - the protocol's
        """Begin TLS."""
        if self._attempt is not None:
            self._attempt.securing(host)

    def secured(self, checkout: Checkout, tls: Any) -> None:  # noqa: ARG002 - the protocol's
        """End TLS."""
        if self._attempt is not None:
            self._attempt.secured(tls)

    def opened(self, checkout: Checkout, connection: Connection) -> None:  # noqa: ARG002 - the protocol's
        """End the attempt. Its span is made at once: whoever joins the connection links to it."""
        connection.setup = self._end_attempt()

    def connect_failed(self, checkout: Checkout, error: str) -> None:  # noqa: ARG002 - the protocol's
        """End the attempt, unless that was told before."""
        self._end_attempt(error)

    def answered(self, checkout: Checkout) -> None:
        """End the client span where it ends with the headers."""
        if self._own:
            if checkout.status in _REDIRECTS:
                _client_span.redirected()
            if self._tracing.until_headers:
                self.ended(checkout)

    def judged(self, checkout: Checkout, attributes: dict[str, AttributeValue]) -> None:  # noqa: ARG002 - the protocol's
        """Say on the span why the wait ended in PoolTimeout."""
        if self.span.is_recording():
            self.span.add_event(c.VERDICT_EVENT, attributes)

    def failed(self, checkout: Checkout, exc: BaseException) -> None:  # noqa: ARG002 - the protocol's
        """Record what ended the request."""
        if self._own:
            quotes = error_type(exc) == "LocalProtocolError"
            self.span.record_exception(exc, _NOT_SHOWN if quotes else None)

    def ended(self, checkout: Checkout) -> None:
        """End the client span, where it is ours."""
        if self._own:
            self._own = False
            _client_span.finish(self.span, checkout, self._facts(checkout))

    def _facts(self, checkout: Checkout) -> dict[str, AttributeValue]:
        facts: dict[str, AttributeValue] = {c.POOL: self.pool, c.WAIT_SECONDS: self._waited_seconds}
        if checkout.connection is not None and checkout.source:
            facts[c.CONNECTION_ID] = checkout.connection.id
            facts[c.SOURCE] = checkout.source
        return facts

    def _tell_of(self, checkout: Checkout) -> None:
        if not self._own and self.span.is_recording():
            self.span.set_attributes(self._facts(checkout))

    def _wait(self, checkout: Checkout, until: float, error: str = "") -> None:
        seconds = until - checkout.entered_at
        self._waited_seconds += seconds
        if (checkout.queued and seconds >= _HANDOVER_SECONDS) or error == "PoolTimeout":
            start = max(checkout.entered_at, self._begun_at)
            step = Step(self._name(c.WAIT_SPAN), self._nanoseconds(start), self._where())
            step.end = self._nanoseconds(max(start, until))
            step.error = error
            self._emit(step, self.context)

    def _end_attempt(self, error: str = "") -> Any:
        attempt, self._attempt = self._attempt, None
        if attempt is None:
            return None
        attempt.ended(error)
        return self._emit(attempt.whole, self.context, attempt.parts)

    def _emit(self, step: Step, context: Context, parts: list[Step] | None = None) -> Any:
        """Make a step's span, and those of its parts beneath it; give the span's context, None where it is an event."""
        tracer = self._tracing.tracer
        if step.error:
            step.attributes["error.type"] = step.error
        if self._tracing.mode == "events" or tracer is None:
            elapsed = (step.end - step.start) / 1e9
            self.span.add_event(step.name, {**step.attributes, c.ELAPSED_SECONDS: elapsed}, step.start)
            for part in parts or ():
                self._emit(part, context)
            return None
        span = tracer.start_span(step.name, context, attributes=step.attributes, start_time=step.start)
        if parts:
            beneath = set_span_in_context(span, context)
            for part in parts:
                self._emit(part, beneath)
        if step.error:
            span.set_status(StatusCode.ERROR, step.error)
        span.end(step.end)
        return span.get_span_context()

    def _nanoseconds(self, at: float) -> int:
        return self._begun_ns + int((at - self._begun_at) * 1e9)

    def _address(self) -> tuple[str, int]:
        url = self._origin
        scheme = url.scheme.decode("ascii", errors="replace")
        return url.host.decode("ascii", errors="replace"), url.port or _client_span.PORTS.get(scheme, 0)

    def _name(self, first: str) -> str:
        host, port = self._address()
        return f"{first} {host}:{port}"

    def _where(self) -> dict[str, AttributeValue]:
        host, port = self._address()
        return {c.POOL: self.pool, c.ADDRESS: host, c.PORT: port}
