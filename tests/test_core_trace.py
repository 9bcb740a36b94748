"""Spans to the nanosecond: what a trace makes of the moments it is told, what a client span says, whose it is."""

import itertools
from types import SimpleNamespace

import httpx
import pytest
from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from ledger import Ledger
from poolscope import _contract as c
from poolscope import _foreign
from poolscope._records import Checkout
from poolscope.sinks import _client_span, _setup, _trace
from poolscope.sinks._noting import Note
from poolscope.sinks._setup import Setup
from poolscope.sinks._trace import Trace
from poolscope.sinks._tracing import Tracing, suppressed

EPOCH = 1_700_000_000
URL = SimpleNamespace(scheme=b"https", host=b"shop", port=None)
WHERE = {c.POOL: "pool", c.ADDRESS: "shop", c.PORT: 443}


class Clock:
    """Seconds that pass where the test says so, as both of the clocks that a trace reads."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def time_ns(self):
        return EPOCH * 10**9 + int(self.now * 1e9)


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(_trace, "time", made)
    monkeypatch.setattr(_setup, "time", made)
    return made


class Sdk:
    """A tracer's real SDK. `spans` gives those that ended, each as its parts that a test reads."""

    def __init__(self, **options):
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(**options)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("tests")

    @property
    def spans(self):
        return [
            (span.name, (span.start_time / 1e9 - EPOCH, span.end_time / 1e9 - EPOCH), dict(span.attributes))
            for span in self.exporter.get_finished_spans()
        ]

    def named(self, name):
        [span] = [span for span in self.exporter.get_finished_spans() if span.name == name]
        return span


@pytest.fixture
def sdk():
    return Sdk()


def made(sdk, clock, *, own=False, mode="spans", until="body", at=1.0):
    """A trace that has begun at this second, of a request that entered the pool then."""
    tracing = Tracing(sdk.provider, mode=mode, until=until)
    tracing.tracer = None if mode == "off" else sdk.tracer
    span = sdk.tracer.start_span("request", start_time=EPOCH * 10**9)
    clock.now = at
    one = Trace(tracing, span, trace.set_span_in_context(span), "pool", own=own)
    one.begin(SimpleNamespace(url=URL))
    checkout = Ledger().request(at)
    checkout.trace = one
    return one, checkout


def test_a_set_up_ends_each_part_where_the_next_begins(clock):
    """The socket until its peer is known, TLS until it is agreed, the whole until it is said to be over."""
    clock.now = 1.0
    setup = Setup("setup", "shop:443", {"a": 1})
    clock.now = 2.0
    setup.connected(("10.0.0.1", 443))
    clock.now = 2.5
    setup.securing("shop")
    clock.now = 4.0
    setup.secured(SimpleNamespace(version=lambda: "TLSv1.3", selected_alpn_protocol=lambda: "h2"))
    clock.now = 5.0
    setup.ended()
    assert [(step.name, step.start / 1e9 - EPOCH, step.end / 1e9 - EPOCH, step.error) for step in setup.parts] == [
        ("socket connect 10.0.0.1:443", 1.0, 2.0, ""),
        ("TLS client handshake shop", 2.5, 4.0, ""),
    ]
    assert setup.parts[0].attributes == {
        "network.peer.address": "10.0.0.1",
        "network.peer.port": 443,
        "network.transport": "tcp",
        "network.type": "ipv4",
    }
    assert setup.parts[1].attributes == {
        "server.address": "shop",
        "tls.protocol.version": "1.3",
        "tls.next_protocol": "h2",
    }
    whole = setup.whole
    assert (whole.name, whole.start / 1e9 - EPOCH, whole.end / 1e9 - EPOCH) == ("setup", 1.0, 5.0)
    assert (whole.error, whole.attributes) == ("", {"a": 1})


@pytest.mark.parametrize(
    ("peer", "name", "attributes"),
    [
        (("::1", 80, 0, 0), "::1:80", {"network.transport": "tcp", "network.type": "ipv6"}),
        ("/run/socket", "/run/socket", {"network.transport": "unix"}),
        (None, "shop:443", {}),
    ],
)
def test_a_socket_is_named_after_its_peer(clock, peer, name, attributes):
    """An address and port, a path, or where it was to go."""
    setup = Setup("setup", "shop:443", {})
    setup.connected(peer)
    [part] = setup.parts
    assert part.name == f"socket connect {name}"
    assert part.attributes == _client_span.peer_attributes(peer) | attributes


def test_what_a_failed_set_up_was_about_ends_with_its_error(clock):
    """The part that runs has the error, too; one that had ended has none. TLS that agreed on nothing says nothing."""
    clock.now = 1.0
    setup = Setup("setup", "shop:443", {})
    clock.now = 3.0
    setup.ended("ConnectTimeout")
    assert (setup.whole.error, setup.parts[0].error) == ("ConnectTimeout", "ConnectTimeout")
    assert setup.parts[0].end == setup.whole.end == (EPOCH + 3) * 10**9
    over = Setup("setup", "shop:443", {})
    over.connected(None)
    over.securing("shop")
    over.secured(SimpleNamespace(version=lambda: None, selected_alpn_protocol=lambda: None))
    clock.now = 4.0
    over.ended("ReadError")
    assert [part.error for part in over.parts] == ["", ""]
    assert [part.end for part in over.parts] == [(EPOCH + 3) * 10**9] * 2
    assert over.parts[1].attributes == {"server.address": "shop"}
    over.securing("shop")
    over.secured(None)
    assert over.parts[2].attributes == {"server.address": "shop"}


def test_a_queued_request_has_a_span_of_its_wait(sdk, clock):
    """From its entry to the hand-over, under its own span, with where it goes; its span says how it was served."""
    one, checkout = made(sdk, clock)
    checkout.queued, checkout.source, checkout.offered_at = True, c.REUSED, 3.5
    checkout.connection = connection = Ledger().open(0.5)
    checkout.state = "holding"
    clock.now = 9.0
    one.served(checkout)
    one.span.end()
    wait = sdk.named("HTTP wait_for_connection shop:443")
    assert sdk.spans[0] == (wait.name, (1.0, 3.5), WHERE)
    assert wait.parent.span_id == one.span.get_span_context().span_id
    facts = {c.POOL: "pool", c.WAIT_SECONDS: 2.5, c.CONNECTION_ID: connection.id, c.SOURCE: c.REUSED}
    assert dict(sdk.named("request").attributes) == facts
    assert (wait.links, sdk.named("request").links, one.epoch) == ((), (), EPOCH)


@pytest.mark.parametrize(
    ("queued", "until", "error", "told"),
    [
        (True, 1.0009, "", False),  # a hand-over
        (True, 1.0 + _trace._HANDOVER_SECONDS * 1.5, "", True),
        (True, 1.0011, "", True),
        (False, 3.0, "", False),
        (False, 1.0, "PoolTimeout", True),
        (False, 3.0, "ReadError", False),
    ],
)
def test_only_a_wait_that_is_one_has_a_span(sdk, clock, queued, until, error, told):
    """Queued for longer than a hand-over takes, or a PoolTimeout, however short; all add to the seconds waited."""
    one, checkout = made(sdk, clock)
    checkout.queued = queued
    one._wait(checkout, until, error)
    one._wait(checkout, until, error)
    assert [name.split()[1] for name, _, _ in sdk.spans] == ["wait_for_connection"] * (2 if told else 0)
    assert one._facts(checkout) == {c.POOL: "pool", c.WAIT_SECONDS: pytest.approx(2 * (until - 1.0))}


def test_a_wait_that_came_to_nothing_has_its_error(sdk, clock):
    """As status and attribute; whoever holds a connection, or has ended, waits for none."""
    for state in ("holding", "done"):
        one, checkout = made(sdk, clock)
        checkout.queued, checkout.state = True, state
        one.left(checkout, httpx.PoolTimeout(""))
        assert sdk.spans == []
    one, checkout = made(sdk, clock)
    clock.now = 4.0
    one.left(checkout, httpx.PoolTimeout(""))
    one.span.end()
    [wait, whole] = sdk.exporter.get_finished_spans()
    assert sdk.spans[0][1:] == ((1.0, 4.0), WHERE | {"error.type": "PoolTimeout"})
    assert (wait.status.status_code, wait.status.description) == (StatusCode.ERROR, "PoolTimeout")
    assert dict(whole.attributes) == {c.POOL: "pool", c.WAIT_SECONDS: 3.0}


def test_a_wait_begins_with_its_trace_at_the_earliest(sdk, clock):
    """A span of ours lies inside the request's own; it never ends before it begins."""
    one, checkout = made(sdk, clock, at=5.0)
    checkout.entered_at, checkout.queued = 2.0, True
    one._wait(checkout, 6.0)
    one._wait(checkout, 4.0)
    assert [times for _, times, _ in sdk.spans] == [(5.0, 6.0), (5.0, 5.0)]


def test_what_was_put_back_or_not_held_ends_no_wait(sdk, clock):
    """The wait for a connection that was held ends at the hand-over, and another begins."""
    one, checkout = made(sdk, clock)
    checkout.queued, checkout.offered_at = True, 2.0
    one.put_back(checkout)
    one.served(checkout)
    checkout.connection = Ledger().open(0.5)
    checkout.plain = False
    one.served(checkout)
    assert sdk.spans == []
    checkout.state = "holding"
    one.put_back(checkout)
    assert [times for _, times, _ in sdk.spans] == [(1.0, 2.0)]


@pytest.mark.parametrize(
    ("joined", "setup", "opened_at", "linked"),
    [(True, True, 3.0, True), (True, True, 2.0, True), (True, True, 1.5, False), (False, True, 3.0, False)],
)
def test_who_joins_a_set_up_links_to_its_span(sdk, clock, joined, setup, opened_at, linked):
    """Where the connection was opened after it was handed over, by another request."""
    one, checkout = made(sdk, clock)
    checkout.connection = connection = Ledger().open(0.5)
    checkout.joined, checkout.offered_at, checkout.state = joined, 2.0, "holding"
    connection.setup, connection.opened_at = sdk.tracer.start_span("other").get_span_context(), opened_at
    one.served(checkout)
    one.span.end()
    assert [link.context for link in sdk.named("request").links] == ([connection.setup] if linked else [])
    connection.setup = None
    one.served(checkout)


def test_a_set_up_is_a_span_with_its_parts_beneath(sdk, clock):
    """Under the request's own; the connection knows it, for those who join."""
    one, checkout = made(sdk, clock)
    connection = Ledger().open(0.5)
    connection.peer = ("10.0.0.1", 443)
    one.connecting(checkout, connection, "shop:443")
    clock.now = 2.0
    one.connected(checkout, connection)
    one.securing(checkout, "shop")
    clock.now = 3.0
    one.secured(checkout, SimpleNamespace(version=lambda: "TLSv1.2", selected_alpn_protocol=lambda: None))
    clock.now = 3.5
    one.opened(checkout, connection)
    whole = sdk.named("HTTP connection_setup shop:443")
    assert connection.setup == whole.get_span_context()
    assert whole.parent.span_id == one.span.get_span_context().span_id
    assert (dict(whole.attributes), whole.status.status_code) == (
        WHERE | {c.CONNECTION_ID: connection.id},
        StatusCode.UNSET,
    )
    parts = [span for span in sdk.exporter.get_finished_spans() if span is not whole]
    assert [span.parent.span_id for span in parts] == [whole.get_span_context().span_id] * 2
    times = {name: at for name, at, _ in sdk.spans}
    assert times == {
        "HTTP connection_setup shop:443": (1.0, 3.5),
        "socket connect 10.0.0.1:443": (1.0, 2.0),
        "TLS client handshake shop": (2.0, 3.0),
    }
    assert sdk.named("TLS client handshake shop").attributes["tls.protocol.version"] == "1.2"
    sdk.exporter.clear()
    one.opened(checkout, connection)
    assert (sdk.spans, connection.setup) == ([], None), "an attempt ends once"
    for told in (one.connected, one.secured, one.securing):
        told(checkout, connection)
    one.connect_failed(checkout, "ReadError")
    assert sdk.spans == []


def test_a_failed_set_up_says_so_once(sdk, clock):
    """On the whole and on the part that ran."""
    one, checkout = made(sdk, clock)
    one.connecting(checkout, Ledger().reserve(0.5), "shop:443")
    clock.now = 2.0
    one.connect_failed(checkout, "ConnectError")
    one.connect_failed(checkout, "ConnectError")
    assert [(name.split()[0], at) for name, at, _ in sdk.spans] == [("socket", (1.0, 2.0)), ("HTTP", (1.0, 2.0))]
    assert {attributes["error.type"] for _, _, attributes in sdk.spans} == {"ConnectError"}
    assert {span.status.description for span in sdk.exporter.get_finished_spans()} == {"ConnectError"}


@pytest.mark.parametrize("mode", ["events", "off"])
def test_events_stand_for_spans_with_their_durations(sdk, clock, mode):
    """On the request's own span, at the second of their start; whoever would join has nothing to link to."""
    one, checkout = made(sdk, clock, mode=mode)
    checkout.queued = True
    one._wait(checkout, 3.0)
    connection = Ledger().reserve(0.5)
    one.connecting(checkout, connection, "shop:443")
    clock.now = 2.5
    one.opened(checkout, connection)
    one.span.end()
    assert connection.setup is None
    events = sdk.named("request").events
    told = [(one.name, one.timestamp / 1e9 - EPOCH, one.attributes[c.ELAPSED_SECONDS]) for one in events]
    assert told == [
        ("HTTP wait_for_connection shop:443", 1.0, 2.0),
        ("HTTP connection_setup shop:443", 1.0, 1.5),
        ("socket connect shop:443", 1.0, 1.5),
    ]
    assert dict(events[0].attributes) == WHERE | {c.ELAPSED_SECONDS: 2.0}
    assert [span.name for span in sdk.exporter.get_finished_spans()] == ["request"]


def test_a_span_of_ours_ends_once_with_the_body_or_the_headers(sdk, clock):
    """With what became of the request and how it was served; a span of another's is not ended by us."""
    theirs, checkout = made(sdk, clock)
    checkout.status = 302
    theirs.answered(checkout)
    theirs.ended(checkout)
    theirs.failed(checkout, ValueError())
    assert sdk.spans == []
    for until, ended in (("body", 0), ("headers", 1)):
        sdk.exporter.clear()
        ours, checkout = made(sdk, clock, own=True, until=until)
        checkout.status = 204
        ours.answered(checkout)
        assert len(sdk.spans) == ended
        ours.ended(checkout)
        ours.ended(checkout)
        [(_, _, attributes)] = sdk.spans
        assert attributes == {c.POOL: "pool", c.WAIT_SECONDS: 0.0, "http.response.status_code": 204}


def test_a_failure_and_a_verdict_stand_on_the_span(sdk, clock):
    """The exception where the span is ours; the verdict on whoever's span it is, while it records."""
    ours, checkout = made(sdk, clock, own=True)
    ours.failed(checkout, ValueError("why"))
    ours.judged(checkout, {"cause": c.BURST})
    ours.ended(checkout)
    ours.judged(checkout, {"cause": c.BURST})
    failed, judged = sdk.named("request").events
    assert (failed.name, failed.attributes["exception.message"]) == ("exception", "why")
    assert (judged.name, dict(judged.attributes)) == (c.VERDICT_EVENT, {"cause": c.BURST})


def test_a_trace_of_an_unsampled_span_leaves_no_exemplar(clock):
    """It has no context to point to."""
    one, _ = made(Sdk(sampler=ALWAYS_OFF), clock)
    assert one.span_context is None
    assert made(Sdk(), clock)[0].span_context is not None


def start(sdk, request, redacted=_client_span.REDACTED_KEYS):
    span = _client_span.start(sdk.tracer, request, otel.get_current(), redacted)
    return span, dict(span.attributes)


@pytest.fixture(autouse=True)
def _nothing_sent():
    token = _client_span._sent.set(None)
    yield
    _client_span._sent.reset(token)


def test_a_client_span_says_what_is_asked_for(sdk):
    """Method, address, port and URL, before the sampler is asked; a method that is none is told as it was."""
    span, attributes = start(sdk, httpx.Request("POST", "https://shop/a?b=c"))
    assert (span.name, span.kind) == ("POST", SpanKind.CLIENT)
    assert attributes == {
        "http.request.method": "POST",
        "server.address": "shop",
        "server.port": 443,
        "url.full": "https://shop/a?b=c",
    }
    span, attributes = start(sdk, httpx.Request("BREW", "http://shop:81/"))
    assert (span.name, attributes["http.request.method"]) == ("HTTP", c.OTHER)
    assert (attributes["http.request.method_original"], attributes["server.port"]) == ("BREW", 81)
    assert "server.port" not in start(sdk, httpx.Request("GET", "ftp://shop/"))[1]


def test_a_request_that_is_sent_again_says_how_often(sdk):
    """The same object, or what a redirect made of it: told by its timeouts, which are passed on."""
    timeouts = {"read": 5.0}
    first = httpx.Request("GET", "http://shop/", extensions={"timeout": timeouts})
    counts = [start(sdk, first)[1].get("http.request.resend_count") for _ in range(3)]
    assert counts == [None, 1, 2]
    next_one = httpx.Request("GET", "http://shop/b", extensions={"timeout": timeouts})
    _client_span.redirected()
    assert start(sdk, next_one)[1]["http.request.resend_count"] == 3
    other = httpx.Request("GET", "http://shop/b", extensions={"timeout": timeouts})
    assert "http.request.resend_count" not in start(sdk, other)[1], "the last one was no redirect"
    _client_span.redirected()
    for extensions in ({"timeout": dict(timeouts)}, {}):
        request = httpx.Request("GET", "http://shop/c", extensions=extensions)
        assert "http.request.resend_count" not in start(sdk, request)[1]
        _client_span.redirected()
    bare = httpx.Request("GET", "http://shop/d")
    assert "http.request.resend_count" not in start(sdk, bare)[1], "without timeouts nothing tells"


def test_an_answer_before_any_request_of_ours_is_no_redirect_of_ours():
    """Nothing is noted, nothing fails."""
    _client_span.redirected()
    assert _client_span._sent.get() is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://user:pass@shop/", "http://REDACTED:REDACTED@shop/"),
        ("http://shop/?sig=a&b=c", "http://shop/?sig=REDACTED&b=c"),
        ("http://shop/?b=c&Signature=a#sig=1", "http://shop/?b=c&Signature=REDACTED#sig=1"),
        ("http://shop/?a=sig", "http://shop/?a=sig"),
        ("http://shop/?mine=1&sigs=2", "http://shop/?mine=REDACTED&sigs=2"),
        ("http://shop/sig=1", "http://shop/sig=1"),
        ("http://shop/#a&sig=1", "http://shop/#a&sig=1"),
    ],
)
def test_no_credentials_are_shown(url, shown):
    """Neither a user's nor a redacted key's value; what only looks like one stays."""
    assert _client_span.full_url(httpx.URL(url), _client_span.REDACTED_KEYS | {"mine"}) == shown


def test_the_context_goes_out_with_a_copy(sdk):
    """The user's request keeps its headers; without a context it is the user's own that goes."""
    request = httpx.Request("GET", "http://shop/", headers={"a": "b"}, extensions={"mine": 1})
    assert _client_span.carrying(request, otel.Context()) is request
    span = sdk.tracer.start_span("x")
    sent = _client_span.carrying(request, trace.set_span_in_context(span))
    assert (type(sent), sent.url, sent.extensions) == (type(request), request.url, {"mine": 1})
    assert format(span.get_span_context().trace_id, "032x") in sent.headers["traceparent"]
    assert (sent.headers["a"], "traceparent" in request.headers) == ("b", False)


@pytest.mark.parametrize(
    ("status", "error", "attributes", "code", "description"),
    [
        (200, "", {"http.response.status_code": 200}, StatusCode.UNSET, None),
        (399, "", {"http.response.status_code": 399}, StatusCode.UNSET, None),
        (400, "", {"http.response.status_code": 400, "error.type": "400"}, StatusCode.ERROR, None),
        (503, "", {"http.response.status_code": 503, "error.type": "503"}, StatusCode.ERROR, None),
        (
            503,
            "ReadError",
            {"http.response.status_code": 503, "error.type": "ReadError"},
            StatusCode.ERROR,
            "ReadError",
        ),
        ("", "ConnectError", {"error.type": "ConnectError"}, StatusCode.ERROR, "ConnectError"),
        ("", "", {}, StatusCode.UNSET, None),
    ],
)
def test_a_finished_span_says_what_became_of_its_request(sdk, status, error, attributes, code, description):
    """Its status, its error, and what else is known."""
    checkout = Checkout(None, "GET", 0.0)
    checkout.status, checkout.error = status, error
    _client_span.finish(sdk.tracer.start_span("x"), checkout, {"more": 1})
    span = sdk.named("x")
    assert dict(span.attributes) == attributes | {"more": 1}
    assert (span.status.status_code, span.status.description) == (code, description)


def test_a_finished_span_says_its_peer_and_protocol(sdk):
    """Where they are known."""
    checkout = Checkout(None, "GET", 0.0)
    checkout.protocol = "2"
    checkout.connection = Ledger().open(0.5)
    checkout.connection.peer = ("10.0.0.1", "443")
    _client_span.finish(sdk.tracer.start_span("x"), checkout, {})
    assert dict(sdk.named("x").attributes) == {
        "network.protocol.version": "2",
        "network.peer.address": "10.0.0.1",
        "network.peer.port": 443,
    }
    assert _client_span.peer_attributes(("path",)) == {"network.peer.address": "('path',)"}
    assert _client_span.peer_attributes(b"") == _client_span.peer_attributes(()) == {}


@pytest.mark.parametrize(
    ("options", "kind", "told"),
    [
        ({"mode": "some"}, ValueError, r"^spans takes one of spans, events, off, got 'some'$"),
        ({"until": "some"}, ValueError, r"^client_span_ends takes one of body, headers, got 'some'$"),
        ({"provider": 7}, TypeError, r"^tracer_provider takes an OpenTelemetry TracerProvider, got 7$"),
        ({"redact": "key"}, TypeError, r"^redact_query_keys takes several keys, got the string 'key'$"),
    ],
)
def test_tracing_says_what_it_takes(options, kind, told):
    """The argument by its public name, and what it got."""
    given = {"mode": "spans", "until": "body", "provider": None, **options}
    with pytest.raises(kind, match=told):
        Tracing(given.pop("provider"), **given)


def test_tracing_looks_for_an_sdk_now_and_then(sdk, monkeypatch):
    """Ten times a second while there is none; never where spans are off; measuring alone keeps it awake."""
    providers = itertools.repeat(trace.ProxyTracerProvider())
    looked = []
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: looked.append(1) or next(providers))
    tracing = Tracing(None, mode="spans", until="body")
    assert [bool(tracing.awake(at)) for at in (0.0, 0.05, 0.125, 0.2, 0.25)] == [False] * 5
    assert len(looked) == 3
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: sdk.provider)
    assert tracing.awake(0.5)
    assert tracing.awake(0.5)
    off = Tracing(sdk.provider, mode="off", until="body", measuring=lambda: True)
    assert (off.awake(1.0), off.tracer, off.passive) == (True, None, False)
    given = Tracing(sdk.provider, mode="events", until="headers", redact=["mine"])
    assert given.awake(0.0)
    assert (given.until_headers, given.redacted) == (True, _client_span.REDACTED_KEYS | {"mine"})
    assert not Tracing(trace.NoOpTracerProvider(), mode="spans", until="body").awake(0.0)
    assert repr(given) == "OpenTelemetrySink(spans='events')"
    span = given.tracer.start_span("x")
    assert (span.instrumentation_scope.name, span.instrumentation_scope.schema_url) == (
        "poolscope",
        _client_span.SCHEMA,
    )


def test_a_client_span_is_ours_and_nothing_below_makes_another(sdk):
    """It is current, and suppresses others, until it is left; the request that goes out carries it."""
    tracing = Tracing(sdk.provider, mode="spans", until="body")
    tracing.awake(0.0)
    request, checkout = httpx.Request("GET", "http://shop/"), Checkout(None, "GET", 0.0)
    handle, sent, leave = tracing.enter(checkout, "handle", request, "pool")
    assert (handle, checkout.measured_elsewhere, checkout.trace.pool) == ("handle", False, "pool")
    assert suppressed(otel.get_current())
    assert trace.get_current_span() is checkout.trace.span
    assert trace.get_current_span(checkout.trace.context) is checkout.trace.span
    assert "traceparent" in sent.headers
    tracing.inside(checkout, SimpleNamespace(url=URL), "pool")
    assert checkout.trace.epoch > 1.7e9
    leave()
    assert trace.get_current_span(checkout.trace.context) is checkout.trace.span
    assert checkout.trace._tracing is tracing
    assert not suppressed(otel.get_current())
    checkout.trace.ended(checkout)
    assert sdk.named("GET").attributes[c.POOL] == "pool"


def test_an_unsampled_request_has_no_trace():
    """Its context goes out all the same."""
    sdk = Sdk(sampler=ALWAYS_OFF)
    tracing = Tracing(sdk.provider, mode="spans", until="body")
    tracing.awake(0.0)
    checkout = Checkout(None, "GET", 0.0)
    _, sent, leave = tracing.enter(checkout, "handle", httpx.Request("GET", "http://shop/"), "pool")
    tracing.inside(checkout, SimpleNamespace(url=URL), "pool")
    leave()
    assert (checkout.trace, sent.headers["traceparent"][-2:]) == (None, "02")


def test_a_request_that_is_suppressed_is_somebody_elses_to_measure(sdk):
    """By any of OpenTelemetry's three keys; neither span nor trace, and it goes out as it is."""
    tracing = Tracing(sdk.provider, mode="spans", until="body")
    tracing.awake(0.0)
    for key in (
        otel._SUPPRESS_INSTRUMENTATION_KEY,
        otel._SUPPRESS_HTTP_INSTRUMENTATION_KEY,
        "suppress_instrumentation",
    ):
        token = otel.attach(otel.set_value(key, True, trace.set_span_in_context(sdk.tracer.start_span("x"))))
        checkout, request = Checkout(None, "GET", 0.0), httpx.Request("GET", "http://shop/")
        assert tracing.enter(checkout, "handle", request, "pool") == ("handle", request, None)
        tracing.inside(checkout, SimpleNamespace(url=URL), "pool")
        otel.detach(token)
        assert (checkout.measured_elsewhere, checkout.trace) == (True, None)
    assert not suppressed(otel.Context({"other": 1}))


def test_inside_another_spans_request_the_trace_is_that_spans(sdk):
    """A whole trace where there is a tracer, a note where there is none; nothing where nobody records."""
    silent, tracing = (Tracing(sdk.provider, mode="spans", until="body") for _ in range(2))
    tracing.awake(0.0)
    span = sdk.tracer.start_span("theirs")
    for one, kind in ((silent, Note), (tracing, Trace)):
        checkout = Checkout(None, "GET", 0.0)
        with trace.use_span(span):
            one.inside(checkout, SimpleNamespace(url=URL), "pool")
        assert type(checkout.trace) is kind
        assert trace.get_current_span(checkout.trace.context) is span
    assert (checkout.trace.span, checkout.trace.pool, checkout.trace._own) == (span, "pool", False)
    assert checkout.trace._tracing is tracing
    assert silent.enter(checkout, "handle", "request", "pool") == ("handle", "request", None)
    alone = Checkout(None, "GET", 0.0)
    tracing.inside(alone, SimpleNamespace(url=URL), "pool")
    assert alone.trace is None


def test_an_answer_that_redirects_is_noted_for_the_next_request(sdk, clock):
    """Three hundred and something, to a request whose span is ours."""
    for status, noted in ((200, False), (299, False), (300, True), (399, True), (400, False)):
        request = httpx.Request("GET", "http://shop/")
        start(sdk, request)
        one, checkout = made(sdk, clock, own=True)
        checkout.status = status
        one.answered(checkout)
        assert _client_span._sent.get().redirected is noted
        theirs, _ = made(sdk, clock)
        _client_span._sent.get().redirected = False
        theirs.answered(checkout)
        assert _client_span._sent.get().redirected is False


def test_facts_need_both_a_connection_and_how_it_was_come_by(sdk, clock):
    """What was offered and not handed over is not told."""
    one, checkout = made(sdk, clock)
    checkout.connection = Ledger().open(0.5)
    assert set(one._facts(checkout)) == {c.POOL, c.WAIT_SECONDS}
    checkout.source = c.NEW
    assert set(one._facts(checkout)) == {c.POOL, c.WAIT_SECONDS, c.CONNECTION_ID, c.SOURCE}
    checkout.connection = None
    assert set(one._facts(checkout)) == {c.POOL, c.WAIT_SECONDS}


def test_a_span_of_ours_is_told_of_a_wait_when_it_ends(sdk, clock):
    """Not before; one of another's at once, while it records."""
    ours, checkout = made(sdk, clock, own=True)
    ours._tell_of(checkout)
    assert c.POOL not in ours.span.attributes
    theirs, checkout = made(sdk, clock)
    theirs._tell_of(checkout)
    assert theirs.span.attributes[c.POOL] == "pool"
    told = []
    deaf = trace.NonRecordingSpan(theirs.span.get_span_context())
    deaf.set_attributes = told.append
    theirs.span = deaf
    theirs._tell_of(checkout)
    assert told == []


@pytest.mark.parametrize(
    ("url", "where"),
    [
        (SimpleNamespace(scheme=b"http", host=b"shop", port=None), ("shop", 80)),
        (SimpleNamespace(scheme=b"http", host=b"shop", port=81), ("shop", 81)),
        (SimpleNamespace(scheme=b"ftp", host=b"shop", port=None), ("shop", 0)),
        (SimpleNamespace(scheme=b"\xff", host=b"\xc3\xa9", port=None), ("\N{REPLACEMENT CHARACTER}" * 2, 0)),
    ],
)
def test_where_a_request_goes_is_told_whatever_its_bytes(sdk, clock, url, where):
    """Its host as it is written, its port or its scheme's own, 0 where there is none."""
    one, _ = made(sdk, clock)
    one.begin(SimpleNamespace(url=url))
    assert one._address() == where


def test_beneath_a_span_of_another_context_everything_of_the_context_stays(sdk, clock):
    """Parts are made in the set-up's context, with what else was in it."""
    seen = []

    watching = Sdk()
    begin = watching.tracer.start_span
    one, checkout = made(watching, clock)
    one.context = otel.set_value("mine", 1, one.context)
    watching.tracer.start_span = lambda name, context, **more: seen.append(context) or begin(name, context, **more)
    one.connecting(checkout, Ledger().reserve(0.5), "shop:443")
    one.connect_failed(checkout, "ConnectError")
    assert [context.get("mine") for context in seen] == [1, 1]


@pytest.mark.parametrize("mode", ["spans", "off"])
@pytest.mark.parametrize(("around", "inside"), [(True, False), (False, True), (True, True), (False, False)])
def test_where_theirs_makes_the_span_ours_is_not_made(sdk, monkeypatch, mode, around, inside):
    """Around us or inside; of several inside one stays, none where one is around. Where none is, it is ours."""
    asked = []

    def look(handle, *, pass_all):
        asked.append((handle, pass_all))
        return inside, "below"

    monkeypatch.setattr(_foreign, "present", lambda: True)
    monkeypatch.setattr(_foreign, "around", lambda: around)
    monkeypatch.setattr(_foreign, "inside", look)
    tracing = Tracing(sdk.provider, mode=mode, until="body")
    tracing.awake(0.0)
    checkout, request = Checkout(None, "GET", 0.0), httpx.Request("GET", "http://shop/")
    handle, sent, leave = tracing.enter(checkout, "handle", request, "pool")
    theirs = around or inside
    assert (handle, asked, checkout.measured_elsewhere) == ("below", [("handle", around)], theirs)
    assert (checkout.trace is not None) is (not theirs and mode == "spans")
    assert (sent is request) is (theirs or mode == "off")
    if leave is not None:
        leave()
    assert (leave is not None) is (not theirs and mode == "spans")


def test_without_a_tracer_of_ours_theirs_is_kept_from_measuring_twice(sdk, monkeypatch):
    """One of theirs may be where we cannot look: the key that silences it is set until the request is left."""
    monkeypatch.setattr(_foreign, "present", lambda: True)
    tracing = Tracing(None, mode="spans", until="body")
    mine = otel.attach(otel.set_value("mine", 1))
    checkout = Checkout(None, "GET", 0.0)
    handle, request, leave = tracing.enter(checkout, "handle", "request", "pool")
    current = otel.get_current()
    assert (handle, request, checkout.trace, checkout.measured_elsewhere) == ("handle", "request", None, False)
    assert (current.get(otel._SUPPRESS_HTTP_INSTRUMENTATION_KEY), current.get("mine")) == (True, 1)
    leave()
    assert (suppressed(otel.get_current()), otel.get_current().get("mine")) == (False, 1)
    otel.detach(mine)


def test_a_client_span_hangs_under_the_span_that_was_current(sdk):
    """And its context has what was in the current one; the query keys of the sink are redacted."""
    tracing = Tracing(sdk.provider, mode="spans", until="body", redact=["mine"])
    tracing.awake(0.0)
    checkout, request = Checkout(None, "GET", 0.0), httpx.Request("GET", "http://shop/?mine=1")
    token = otel.attach(otel.set_value("mine", 1))
    with sdk.tracer.start_as_current_span("parent") as parent:
        _, _, leave = tracing.enter(checkout, "handle", request, "pool")
        leave()
    otel.detach(token)
    assert checkout.trace.span.parent.span_id == parent.get_span_context().span_id
    assert checkout.trace.context.get("mine") == 1
    assert checkout.trace.span.attributes["url.full"] == "http://shop/?mine=REDACTED"


def test_a_client_span_is_started_in_the_context_that_is_given(sdk):
    """Whatever is current."""
    parent = sdk.tracer.start_span("parent")
    span = _client_span.start(
        sdk.tracer, httpx.Request("GET", "http://shop/"), trace.set_span_in_context(parent), set()
    )
    assert span.parent.span_id == parent.get_span_context().span_id


def test_a_trace_that_saw_no_attempt_begin_makes_nothing_of_its_moments(sdk, clock, caplog):
    """A connection that was being set up before; and what has ended is told nothing more."""
    one, checkout = made(sdk, clock, own=True)
    connection = Ledger().reserve(0.5)
    for told in (one.connected, one.securing, one.secured, one.opened):
        told(checkout, connection)
    one.connect_failed(checkout, "ReadError")
    one.ended(checkout)
    one.ended(checkout)
    assert ([name for name, _, _ in sdk.spans], caplog.records) == (["request"], [])


def test_a_wait_as_long_as_a_hand_over_may_take_is_one(sdk, clock):
    """To the second of the limit."""
    one, checkout = made(sdk, clock, at=0.0)
    checkout.queued = True
    one._wait(checkout, _trace._HANDOVER_SECONDS)
    assert len(sdk.spans) == 1
