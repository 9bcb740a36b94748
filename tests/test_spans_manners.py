"""What tracing leaves alone: the unsampled, the suppressed, the user's headers and baggage, a program with no SDK."""

import subprocess
import sys
from textwrap import dedent

import pytest
from opentelemetry import baggage, trace
from opentelemetry import context as otel
from opentelemetry.instrumentation.utils import suppress_http_instrumentation, suppress_instrumentation
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import SpanContext, TraceFlags, TraceState

from driving import kits
from harness import Server
from poolscope import OpenTelemetrySink
from poolscope.sinks import _client_span
from spanning import SETUP, SOCKET, run, tracing


class Counting:
    """A tracer provider that counts the spans asked for."""

    def __init__(self, provider):
        self.provider = provider
        self.started = []

    def get_tracer(self, *args, **options):
        tracer, started = self.provider.get_tracer(*args, **options), self.started
        start = tracer.start_span

        def start_span(name, *rest, **named):
            started.append(name)
            return start(name, *rest, **named)

        tracer.start_span = start_span
        return tracer


@kits()
def test_an_unsampled_request_costs_no_span_work_below_the_samplers_question(kit):
    """One span is asked for, none is made, and the decision goes out with the request."""
    with Server() as server:
        counting = Counting(TracerProvider(sampler=ALWAYS_OFF))
        kit.sinks = [OpenTelemetrySink(tracer_provider=counting)]

        async def story(driver):
            await driver.get(server.url())

        run(kit, story)
        assert counting.started == ["GET"]
        assert int(server.requests[0].headers["traceparent"].rsplit("-", 1)[1]) & 1 == 0


@kits()
@pytest.mark.parametrize("suppress", [suppress_instrumentation, suppress_http_instrumentation])
def test_what_is_suppressed_makes_no_span(kit, suppress):
    """No span, no header, also within a span that is recorded."""
    with tracing(kit) as tracer, Server() as server:

        async def story(driver):
            with tracer.span(), suppress():
                await driver.get(server.url())

        run(kit, story)
        assert [span.name for span in tracer.tree().spans] == ["test"]
        assert "traceparent" not in server.requests[0].headers


@kits(flavours=["httpx", "httpx2"], colours=["sync"])
def test_an_exporter_that_speaks_httpx_makes_no_spans_of_itself(kit):
    """It sends through an instrumented transport, under the SDK's own suppression: one request is one export."""

    class Exporter(SpanExporter):
        def export(self, spans):
            sent.extend(span.name for span in spans)
            client.post(server.url("/export"), content=b"x")
            return SpanExportResult.SUCCESS

    sent = []
    provider = TracerProvider()
    sink = OpenTelemetrySink(tracer_provider=provider)
    with Server() as server:
        transport = kit.ours.InstrumentedSyncTransport(verify=False, name="exporter", sinks=[sink])
        with kit.http.Client(verify=False, transport=transport) as client:
            provider.add_span_processor(SimpleSpanProcessor(Exporter()))
            client.get(server.url("/work"))
            provider.shutdown()
        assert [name.rsplit(" ", 1)[0] for name in sent] == [SOCKET, SETUP, "GET"]
        assert [request.target for request in server.requests].count("/export") == 3
        assert len(server.requests) == 4


@kits()
def test_baggage_and_tracestate_go_out_as_they_are(kit):
    """The parent's tracestate is the child's; baggage is the user's."""
    remote = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1), trace_state=TraceState([("vendor", "x1")]))
    context = trace.set_span_in_context(trace.NonRecordingSpan(remote), baggage.set_baggage("user", "7"))
    with tracing(kit, sampler=ParentBased(ALWAYS_OFF)) as tracer, Server() as server:

        async def story(driver):
            token = otel.attach(context)
            try:
                await driver.get(server.url())
            finally:
                otel.detach(token)

        run(kit, story)
        headers = server.requests[0].headers
        assert (headers["tracestate"], headers["baggage"]) == ("vendor=x1", "user=7")
        client = tracer.tree(whole=False).clients[0]
        assert headers["traceparent"] == f"00-{1:032x}-{client.span_id.hex()}-01"
        assert client.trace_state == "vendor=x1"


@kits()
def test_the_users_request_keeps_its_own_headers(kit):
    """What goes out has the context once; what the user holds has none, also after a redirect."""

    def script(peer):
        for request in peer.requests():
            peer.respond(*((302, b"", [("location", "/new")]) if request.target == "/old" else (200, b"ok")))

    with tracing(kit) as tracer, Server(script) as server:

        async def story(driver):
            response = await driver.get(server.url("/old"), follow_redirects=True, headers={"X-Mine": "1"})
            for one in (response, *response.history):
                assert "traceparent" not in one.request.headers
                assert one.request.headers["x-mine"] == "1"

        run(kit, story)
        assert tracer.tree()
        for peer_request in server.requests:
            assert "," not in peer_request.headers["traceparent"]
            assert peer_request.headers["x-mine"] == "1"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://h/", "http://h/"),
        ("http://user:secret@h:81/a?b=c#d", "http://REDACTED:REDACTED@h:81/a?b=c#d"),
        ("http://user@h/", "http://REDACTED:REDACTED@h/"),
        ("http://h/?sig=secret&a=1&Signature=secret", "http://h/?sig=REDACTED&a=1&Signature=REDACTED"),
        ("http://h/?design=sig&signal=1", "http://h/?design=sig&signal=1"),
        ("http://h/?token=secret#sig=2", "http://h/?token=REDACTED#sig=2"),
    ],
)
@pytest.mark.parametrize("flavour", ["httpx", "httpx2"])
def test_credentials_and_configured_keys_are_redacted(flavour, url, shown):
    """The user name too, and nothing that merely looks like a key."""
    redacted = _client_span.REDACTED_KEYS | {"token"}
    assert _client_span.full_url(__import__(flavour).URL(url), redacted) == shown


@kits(flavours=["httpx"], colours=["asyncio"])
def test_configured_query_keys_are_redacted_in_the_span(kit):
    """The option reaches the span."""
    with tracing(kit, redact_query_keys=["token"]) as tracer, Server() as server:

        async def story(driver):
            await driver.get(server.url("/?token=secret&sig=secret"))

        run(kit, story)
        assert tracer.tree().clients[0].attributes["url.full"].endswith("/?token=REDACTED&sig=REDACTED")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spans": "all"}, "spans takes one of spans, events, off, got 'all'"),
        ({"client_span_ends": "never"}, "client_span_ends takes one of body, headers, got 'never'"),
        ({"tracer_provider": 1}, "tracer_provider takes an OpenTelemetry TracerProvider, got 1"),
        ({"redact_query_keys": "token"}, "redact_query_keys takes several keys, got the string 'token'"),
    ],
)
def test_a_wrong_option_is_named_with_what_it_takes(options, message):
    """Before any traffic."""
    with pytest.raises((TypeError, ValueError)) as caught:
        OpenTelemetrySink(**options)
    assert str(caught.value) == message


def test_without_an_sdk_there_are_no_spans_and_none_is_looked_for_at_the_pool():
    """`opentelemetry-api` alone: the default sink adds no entrance to the pool, and nothing goes out."""
    code = """
        import sys
        class NoSdk:
            def find_spec(self, name, path=None, target=None):
                if name.startswith("opentelemetry.sdk"):
                    raise ModuleNotFoundError(name)
        sys.meta_path.insert(0, NoSdk())
        sys.path.insert(0, "tests")
        import httpx
        from harness import Server
        from poolscope import InstrumentedSyncTransport
        with Server() as server:
            transport = InstrumentedSyncTransport(name="pool")
            with httpx.Client(verify=False, transport=transport) as client:
                client.get(server.url())
            print(sorted(server.requests[0].headers), "handle_request" in vars(transport._pool))
    """
    done = subprocess.run([sys.executable, "-c", dedent(code)], capture_output=True, text=True, timeout=50, check=False)
    assert done.stderr == ""
    assert done.stdout.strip() == "['accept', 'accept-encoding', 'connection', 'host', 'user-agent'] False"


@kits(flavours=["httpx"], colours=["asyncio"])
def test_an_sdk_that_is_set_up_later_is_found_by_one_of_the_next_requests(kit, monkeypatch):
    """The transport is older than the tracer provider."""
    with tracing() as tracer, Server() as server:
        kit.sinks = [OpenTelemetrySink()]

        async def story(driver):
            await driver.get(server.url("/before"))
            monkeypatch.setattr(trace, "_TRACER_PROVIDER", tracer.provider)
            while not tracer.tree(whole=False).clients:
                await driver.get(server.url("/after"))

        run(kit, story)
        assert [span.attributes["url.full"].rsplit("/", 1)[1] for span in tracer.tree().clients] == ["after"]
