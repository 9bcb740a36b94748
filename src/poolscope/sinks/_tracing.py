"""Decides, request by request, whose the client span is, and gives a sampled request its trace.

1. One client span a request: ours only where OpenTelemetry's own instrumentation makes none, and where ours is made,
   nothing below makes another (the HTTP suppression key).
2. What is suppressed, or not sampled, costs no span work beyond the sampler's question.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any, Literal, get_args

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Tracer, TracerProvider

from poolscope import _foreign
from poolscope._records import Checkout
from poolscope._tracing import Handle, Leave
from poolscope.sinks import _client_span
from poolscope.sinks._noting import Note
from poolscope.sinks._trace import Trace

Mode = Literal["spans", "events", "off"]
Until = Literal["body", "headers"]

_PLAIN_KEY = "suppress_instrumentation"
_KEY: str = getattr(otel, "_SUPPRESS_INSTRUMENTATION_KEY", _PLAIN_KEY)
_HTTP_KEY: str = getattr(otel, "_SUPPRESS_HTTP_INSTRUMENTATION_KEY", "suppress_http_instrumentation")


_LOOK_EVERY_SECONDS = 0.1


class Tracing:
    """Traces the requests of one sink's pools.

    provider: None for the global one, which may be set later. measuring: says whether a meter's SDK is there, so that
    it matters who measures a request's duration.
    """

    def __init__(
        self,
        provider: TracerProvider | None,
        *,
        mode: Mode,
        until: Until,
        redact: Iterable[str] = (),
        measuring: Any = bool,
    ) -> None:
        if mode not in get_args(Mode):
            raise ValueError(f"spans takes one of {', '.join(get_args(Mode))}, got {mode!r}")
        if until not in get_args(Until):
            raise ValueError(f"client_span_ends takes one of {', '.join(get_args(Until))}, got {until!r}")
        if provider is not None and not callable(getattr(provider, "get_tracer", None)):
            raise TypeError(f"tracer_provider takes an OpenTelemetry TracerProvider, got {provider!r}")
        if isinstance(redact, str):
            raise TypeError(f"redact_query_keys takes several keys, got the string {redact!r}")
        self.passive = False
        self.mode = mode
        self.until_headers = until == "headers"
        self.redacted = _client_span.REDACTED_KEYS | frozenset(redact)
        self._given = provider
        self._measuring = measuring
        self._look_at = 0.0
        self.tracer: Tracer | None = None

    def __repr__(self) -> str:
        return f"OpenTelemetrySink(spans={self.mode!r})"

    def awake(self, now: float) -> bool:
        """Whether there is an SDK to trace for, or to measure for. Looks for one now and then."""
        if self.tracer is None and now >= self._look_at:
            self._look_at = now + _LOOK_EVERY_SECONDS
            self._find()
        return self.tracer is not None or self._measuring()

    def _find(self) -> None:
        if self.mode == "off":
            return
        provider = self._given
        if provider is None or isinstance(provider, trace.ProxyTracerProvider):  # which stands for the global one
            provider = trace.get_tracer_provider()
        if isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider):
            return
        self.tracer = provider.get_tracer("poolscope", schema_url=_client_span.SCHEMA)

    def enter(self, checkout: Checkout, handle: Handle, request: Any, pool: str) -> tuple[Handle, Any, Leave | None]:
        """Take a request that enters the transport."""
        current = otel.get_current()
        around = inside = False
        present = _foreign.present()
        if present:
            around = _foreign.around()
            inside, handle = _foreign.inside(handle, pass_all=around)
        if around or inside or suppressed(current):
            checkout.measured_elsewhere = True
            return handle, request, None
        if self.tracer is None:
            if not present or self.mode == "off":
                return handle, request, None
            alone = otel.set_value(_HTTP_KEY, True, current)  # one of theirs may be where we cannot look
            return handle, request, partial(otel.detach, otel.attach(alone))
        span = _client_span.start(self.tracer, request, current, self.redacted)
        context = otel.set_value(_HTTP_KEY, True, trace.set_span_in_context(span, current))
        sent = _client_span.carrying(request, context)
        if span.is_recording():
            checkout.trace = Trace(self, span, context, pool, own=True)
        return handle, sent, partial(otel.detach, otel.attach(context))

    def inside(self, checkout: Checkout, request: Any, pool: str) -> None:
        """Take a request that enters the pool, where the current span is its own, whoever made it."""
        if checkout.trace is None:
            context = otel.get_current()
            span = trace.get_current_span(context)
            if not span.is_recording() or suppressed(context):
                return
            silent = self.tracer is None
            checkout.trace = Note(span, context) if silent else Trace(self, span, context, pool, own=False)
        if isinstance(checkout.trace, Trace):
            checkout.trace.begin(request)


def suppressed(context: Context) -> bool:
    """Whether nothing that is done in this context is to be instrumented, such as an exporter's own requests."""
    return bool(context) and bool(context.get(_KEY) or context.get(_HTTP_KEY) or context.get(_PLAIN_KEY))
