"""What a client span says: before the sampler is asked, of a request sent again, without credentials, at its end."""

import httpx
import pytest
from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from ledger import Ledger
from poolscope import _contract as c
from poolscope._records import Checkout
from poolscope.sinks import _client_span
from tracing_desk import clock, made, sdk

__all__ = ["clock", "sdk"]


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


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://user:pass@shop/", "http://REDACTED:REDACTED@shop/"),
        ("http://shop/?sig=a&b=c", "http://shop/?sig=REDACTED&b=c"),
        ("http://shop/?b=c&Signature=a#sig=1", "http://shop/?b=c&Signature=REDACTED#sig=1"),
        ("http://shop/?a=sig", "http://shop/?a=sig"),
        ("http://shop/?mine=1&sigs=2", "http://shop/?mine=REDACTED&sigs=2"),
        ("http://shop/?auth%5Btoken%5D=1&a+key=2", "http://shop/?auth%5Btoken%5D=REDACTED&a+key=REDACTED"),
        ("http://shop/sig=1", "http://shop/sig=1"),
        ("http://shop/#a&sig=1", "http://shop/#a&sig=1"),
    ],
)
def test_no_credentials_are_shown(url, shown):
    """Neither a user's nor a redacted key's value; what only looks like one stays."""
    assert _client_span.full_url(httpx.URL(url), _client_span.REDACTED_KEYS | {"mine", "auth[token]", "a key"}) == shown


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


def test_a_client_span_is_started_in_the_context_that_is_given(sdk):
    """Whatever is current."""
    parent = sdk.tracer.start_span("parent")
    span = _client_span.start(
        sdk.tracer, httpx.Request("GET", "http://shop/"), trace.set_span_in_context(parent), set()
    )
    assert span.parent.span_id == parent.get_span_context().span_id
