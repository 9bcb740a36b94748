"""Which trace a request belongs to, for a sink that has exemplars and makes no spans."""

import time
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context, get_current
from opentelemetry.trace import Span

from poolscope._records import Checkout
from poolscope._tracing import Handle, Leave


class Noting:
    """Gives the requests of a pool whose span is sampled a trace that only has a name. Gives way to real tracing."""

    passive = True

    def __repr__(self) -> str:
        return "PrometheusSink()"

    def awake(self, now: float) -> bool:  # noqa: ARG002 - the protocol's
        """Say that there is something to note: it is only attached where there is a tracer's SDK."""
        return True

    def enter(self, checkout: Checkout, handle: Handle, request: Any, pool: str) -> tuple[Handle, Any, Leave | None]:  # noqa: ARG002 - the protocol's
        """Take a request that enters the transport: nothing is known of it yet."""
        return handle, request, None

    def inside(self, checkout: Checkout, request: Any, pool: str) -> None:  # noqa: ARG002 - the protocol's
        """Take a request that enters the pool, where the current span is its own."""
        context = get_current()
        span = trace.get_current_span(context)
        if span.is_recording():
            checkout.trace = Note(span, context)


class Note:
    """The trace of a request that somebody else spans. It makes nothing of what it is told."""

    __slots__ = ("context", "epoch", "span_context")

    def __init__(self, span: Span, context: Context) -> None:
        self.context = context
        span_context = span.get_span_context()
        self.span_context = span_context if span_context.trace_flags.sampled else None
        self.epoch = time.time() - time.monotonic()

    def _nothing(self, *_: object) -> None:
        return None

    left = put_back = served = connecting = connected = securing = secured = opened = _nothing
    connect_failed = answered = judged = failed = ended = _nothing


def tracer_is_set() -> bool:
    """Whether the program has set a tracer's SDK up."""
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider | trace.NoOpTracerProvider)
