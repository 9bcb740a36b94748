"""Whose the client span is, request by request, and what a sampled request gets."""

import itertools
from types import SimpleNamespace

import httpx
import pytest
from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from poolscope import _contract as c
from poolscope import _foreign
from poolscope._records import Checkout
from poolscope.sinks import _client_span
from poolscope.sinks._noting import Note
from poolscope.sinks._trace import Trace
from poolscope.sinks._tracing import Tracing, suppressed
from tracing_desk import URL, Sdk, clock, sdk

__all__ = ["clock", "sdk"]


@pytest.fixture(autouse=True)
def _nobody_else(monkeypatch):
    """OpenTelemetry's own package may have been loaded by another test of this process."""
    monkeypatch.setattr(_foreign, "present", lambda: False)


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
    early = Tracing(trace.ProxyTracerProvider(), mode="spans", until="body")  # the global one, before it was set
    assert early.awake(0.0)
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
