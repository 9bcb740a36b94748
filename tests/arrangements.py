"""The ways in which OpenTelemetry's own httpx instrumentation and ours can stand about a client, each set up for real.

A row gives the client, ready for requests; what it changes in the process is undone at the end.
"""

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from unittest.mock import patch

from opentelemetry.instrumentation import httpx as theirs
from opentelemetry.instrumentation._semconv import _OpenTelemetrySemanticConventionStability as Stability

from poolscope import instrument


@dataclass
class Ground:
    """What an arrangement is made from: a flavour, a colour, the providers, our sink. (No TLS: loading it is slow.)"""

    http: object
    ours: object
    sync: bool
    meter_provider: object
    tracer_provider: object
    sink: object

    @property
    def providers(self):
        return {"tracer_provider": self.tracer_provider, "meter_provider": self.meter_provider}

    @property
    def instrumentor(self):
        names = {"httpx": "HTTPXClientInstrumentor", "httpx2": "HTTPX2ClientInstrumentor"}
        return getattr(theirs, names[self.http.__name__])()

    def transport(self):
        return (self.http.HTTPTransport if self.sync else self.http.AsyncHTTPTransport)(verify=False)

    def our_transport(self, inner=None):
        name = "InstrumentedSyncTransport" if self.sync else "InstrumentedTransport"
        return getattr(self.ours, name)(inner or self.transport(), name="pool", sinks=[self.sink])

    def their_transport(self, inner):
        name = ("Sync" if self.sync else "Async") + "OpenTelemetryTransport"
        name += "Httpx2" if self.http.__name__ == "httpx2" else ""
        return getattr(theirs, name)(inner, **self.providers)

    def client(self, **options):
        return (self.http.Client if self.sync else self.http.AsyncClient)(**options, verify=False)

    def our_client(self, client):
        return instrument(client, name="pool", sinks=[self.sink])

    def their_client(self, client):
        self.instrumentor.instrument_client(client, **self.providers)
        return client

    @contextmanager
    def instrumented(self):
        self.instrumentor.instrument(**self.providers)
        try:
            yield
        finally:
            self.instrumentor.uninstrument()


def alone(on, undo):
    return on.client(transport=on.our_transport())


def alone_in_place(on, undo):
    return on.our_client(on.client())


def class_before(on, undo):
    undo.enter_context(on.instrumented())
    return on.client(transport=on.our_transport())


def class_after(on, undo):
    client = on.client(transport=on.our_transport())
    undo.enter_context(on.instrumented())
    return client


def class_before_in_place(on, undo):
    undo.enter_context(on.instrumented())
    return on.our_client(on.client())


def client_before_in_place(on, undo):
    return on.our_client(on.their_client(on.client()))


def client_after_in_place(on, undo):
    return on.their_client(on.our_client(on.client()))


def client_around(on, undo):
    return on.their_client(on.client(transport=on.our_transport()))


def type_around(on, undo):
    return on.client(transport=on.their_transport(on.our_transport()))


def type_inside(on, undo):
    return on.client(transport=on.our_transport(on.their_transport(on.transport())))


def type_inside_in_place(on, undo):
    return on.our_client(on.client(transport=on.their_transport(on.transport())))


def class_and_client_before(on, undo):
    undo.enter_context(on.instrumented())
    return on.our_client(on.their_client(on.client()))


def class_and_client_around(on, undo):
    undo.enter_context(on.instrumented())
    return on.their_client(on.client(transport=on.our_transport()))


def class_and_type_around(on, undo):
    undo.enter_context(on.instrumented())
    return on.client(transport=on.their_transport(on.our_transport()))


def class_and_type_inside(on, undo):
    undo.enter_context(on.instrumented())
    return on.client(transport=on.our_transport(on.their_transport(on.transport())))


def users_between(on, undo):
    return on.client(transport=on.their_transport(_users(on, on.our_transport())))


def users_inside(on, undo):
    undo.enter_context(on.instrumented())
    return on.client(transport=on.our_transport(_users(on, on.transport())))


def class_gone(on, undo):
    with on.instrumented():
        return on.client(transport=on.our_transport())


def _users(on, inner):
    """Wrap a transport as users do."""

    class Sync(on.http.BaseTransport):
        def handle_request(self, request):
            return inner.handle_request(request)

        def close(self):
            inner.close()

    class Async(on.http.AsyncBaseTransport):
        async def handle_async_request(self, request):
            return await inner.handle_async_request(request)

        async def aclose(self):
            await inner.aclose()

    return (Sync if on.sync else Async)()


ROWS = {
    alone: ("`InstrumentedTransport`, nothing of theirs", "ours"),
    alone_in_place: ("`instrument(client)`, nothing of theirs", "ours"),
    class_before: ("their `instrument()`, then our transport", "theirs"),
    class_after: ("our transport, then their `instrument()`", "theirs"),
    class_before_in_place: ("their `instrument()`, then our `instrument(client)`", "theirs"),
    client_before_in_place: ("their `instrument_client()`, then our `instrument(client)`", "theirs"),
    client_after_in_place: ("our `instrument(client)`, then their `instrument_client()`", "theirs"),
    client_around: ("our transport, then their `instrument_client()`", "theirs"),
    type_around: ("`OpenTelemetryTransport(ours)`", "theirs"),
    type_inside: ("ours around an `OpenTelemetryTransport`", "theirs"),
    type_inside_in_place: ("our `instrument(client)` of a client with an `OpenTelemetryTransport`", "theirs"),
    class_and_client_before: (
        "their `instrument()` and `instrument_client()`, then our `instrument(client)`",
        "theirs",
    ),
    class_and_client_around: ("our transport, their `instrument()` and `instrument_client()`", "theirs"),
    class_and_type_around: ("their `instrument()` and `OpenTelemetryTransport(ours)`", "theirs"),
    class_and_type_inside: ("their `instrument()`, ours around an `OpenTelemetryTransport`", "theirs"),
    users_between: ("`OpenTelemetryTransport` around a transport of yours around ours", "theirs"),
    users_inside: ("their `instrument()`, ours around a transport of yours that hides theirs", "ours"),
    class_gone: ("our transport made between their `instrument()` and `uninstrument()`", "ours"),
}
"""Each arrangement: in words, and whose the client span and the duration are."""


@contextmanager
def arranged(row, on, semconv):
    """Set an arrangement up, with this value of OTEL_SEMCONV_STABILITY_OPT_IN; give its client."""
    with ExitStack() as undo:
        undo.enter_context(patch.dict("os.environ", {"OTEL_SEMCONV_STABILITY_OPT_IN": semconv}))
        undo.enter_context(patch.object(Stability, "_initialized", False))
        Stability._initialize()
        yield row(on, undo)


def table():
    """The table in docs/opentelemetry.md."""
    lines = ["| arrangement | client span and duration |", "|---|---|"]
    return "\n".join(lines + [f"| {words} | {whose} |" for words, whose in ROWS.values()])
