"""Beside OpenTelemetry's own httpx instrumentation: one client span, at most one duration, one context, in every order.

Each row of the table in docs/opentelemetry.md runs in both flavours and colours, with their old and their new
conventions, sampled, unsampled and without a tracer.
"""

import importlib
from pathlib import Path

import anyio
import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from arrangements import ROWS, Ground, arranged, table, users_inside
from harness import Server
from poolscope import OpenTelemetrySink
from poolscope import _contract as c
from spanning import SETUP, SOCKET

DOCS = Path(__file__).parent.parent / "docs" / "opentelemetry.md"
DURATIONS = ("http.client.request.duration", "http.client.duration")
OURS = "poolscope"


class Seen:
    """What one request left: spans, points of durations by (scope, count), the headers that the server got."""

    def __init__(self, spans, reader, headers, response):
        self.spans = spans
        self.clients = [span for span in spans if span.kind is trace.SpanKind.CLIENT]
        self.headers = headers
        self.response = response
        data = reader.get_metrics_data()
        self.durations = [
            (scope.scope.name, metric.name, point.count)
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in getattr(metric.data, "data_points", ())
            if metric.name in DURATIONS and point.count
        ]


def ask(row, flavour, colour, *, semconv="http", tracer="sampled", fail=False):
    """Send one request through an arrangement."""
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    meter_provider = MeterProvider([reader])
    provider = TracerProvider(sampler=ALWAYS_OFF if tracer == "unsampled" else None)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer_provider = trace.NoOpTracerProvider() if tracer == "none" else provider
    sink = OpenTelemetrySink(meter_provider, tracer_provider)
    sync = colour == "sync"
    on = Ground(
        importlib.import_module(flavour),
        importlib.import_module(f"poolscope.{flavour}"),
        sync,
        meter_provider,
        tracer_provider,
        sink,
    )

    def script(peer):
        for _ in peer.requests():
            if fail:
                peer.close()
                return
            peer.respond(200, b"ok")

    async def send(client, url):
        async with client:
            return await client.get(url)

    with Server(script) as server, arranged(row, on, semconv) as client:
        try:
            if sync:
                with client:
                    response = client.get(server.url())
            else:
                response = anyio.run(send, client, server.url(), backend=colour)
        except on.http.RemoteProtocolError:
            response = None
        headers = server.requests[0].headers
    meter_provider.force_flush()
    seen = Seen(exporter.get_finished_spans(), reader, headers, response)
    meter_provider.shutdown()
    provider.shutdown()
    return seen


def rows(test):
    """Run a test with each arrangement, flavour and colour. `whose`: ours or theirs."""
    cases = [
        pytest.param(row, whose, flavour, colour, id=f"{row.__name__}-{flavour}-{colour}")
        for row, (_, whose) in ROWS.items()
        for flavour in ("httpx", "httpx2")
        for colour in ("asyncio", "sync")
    ]
    return pytest.mark.parametrize(("row", "whose", "flavour", "colour"), cases)(test)


@rows
def test_a_sampled_request_has_one_client_span_one_duration_and_one_context(row, whose, flavour, colour):
    """Whoever makes them; and the pool's spans are beneath the client span, inside its time."""
    seen = ask(row, flavour, colour)
    (client,) = seen.clients
    assert (client.instrumentation_scope.name == OURS) == (whose == "ours")
    assert [count for _, _, count in seen.durations] == [1]
    assert (seen.durations[0][0] == OURS) == (whose == "ours")
    assert seen.headers["traceparent"].split("-")[2] == f"{client.context.span_id:016x}"
    if row is users_inside:  # the pool is hidden, and so there is no more to show
        assert len(seen.spans) == 1
        return
    setup = next(span for span in seen.spans if span.name.startswith(SETUP))
    socket = next(span for span in seen.spans if span.name.startswith(SOCKET))
    assert len(seen.spans) == 3
    assert setup.parent.span_id == client.context.span_id
    assert socket.parent.span_id == setup.context.span_id
    assert client.start_time <= setup.start_time <= socket.end_time <= setup.end_time <= client.end_time
    assert client.attributes[c.SOURCE] == "new"
    assert client.attributes[c.POOL] == "pool"


@rows
def test_an_unsampled_request_has_no_span_one_duration_and_one_context(row, whose, flavour, colour):
    """The span alone does not betray who is around."""
    seen = ask(row, flavour, colour, tracer="unsampled")
    assert seen.spans == ()
    assert [count for _, _, count in seen.durations] == [1]
    assert (seen.durations[0][0] == OURS) == (whose == "ours")
    assert int(seen.headers["traceparent"].rsplit("-", 1)[1]) & 1 == 0


@rows
def test_without_a_tracer_there_is_one_duration_and_no_context(row, whose, flavour, colour):
    """Metrics alone."""
    seen = ask(row, flavour, colour, tracer="none")
    assert seen.spans == ()
    assert "traceparent" not in seen.headers
    assert [count for _, _, count in seen.durations] == [1]
    assert (seen.durations[0][0] == OURS) == (whose == "ours")


@rows
def test_with_their_old_conventions_there_is_one_duration_too(row, whose, flavour, colour):
    """Theirs by its old name then, or ours by the new one."""
    seen = ask(row, flavour, colour, semconv="")
    assert len(seen.clients) == 1
    ((_, name, count),) = seen.durations
    assert (name, count) == ("http.client.request.duration" if whose == "ours" else "http.client.duration", 1)


@rows
def test_a_failure_is_in_the_duration_where_that_is_ours(row, whose, flavour, colour):
    """And absent where it is theirs, which drops failures; the client span has it either way."""
    seen = ask(row, flavour, colour, fail=True)
    (client,) = seen.clients
    assert client.status.status_code is trace.StatusCode.ERROR
    assert client.attributes["error.type"] == "RemoteProtocolError"
    assert len(seen.durations) == (whose == "ours")


@pytest.mark.parametrize("flavour", ["httpx", "httpx2"])
def test_theirs_alone_makes_two_of_what_we_make_one(flavour):
    """What our rule about several of theirs is for: should this fail, they have mended it, and ours can go."""
    import arrangements

    def both_of_theirs(on, undo):
        undo.enter_context(on.instrumented())
        return on.their_client(on.client())

    assert len(ask(both_of_theirs, flavour, "sync").clients) == 2
    assert len(ask(arrangements.class_and_client_before, flavour, "sync").clients) == 1


def test_the_documented_table_is_this_one():
    """What the docs say of each arrangement is what ran here. It prints the table, to be put there."""
    print(table())  # noqa: T201
    assert table() in DOCS.read_text()
