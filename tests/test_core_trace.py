"""Waits, ends and events of a traced request, to the nanosecond."""

from types import SimpleNamespace

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import StatusCode

from ledger import Ledger
from poolscope import _contract as c
from poolscope.sinks import _trace
from tracing_desk import EPOCH, URL, WHERE, Sdk, SlowClock, clock, made, sdk

__all__ = ["clock", "sdk"]


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


def test_a_wait_does_not_end_after_now(sdk, clock, monkeypatch):
    """Nor where a second goes by whenever a clock is read, as for a thread that is set aside between two."""
    one, checkout = made(sdk, clock)
    monkeypatch.setattr(_trace, "time", SlowClock(clock))
    one.begin(SimpleNamespace(url=URL))
    checkout.queued = True
    clock.now += 2.0
    one._wait(checkout, clock.now)
    [(_, (start, end), _)] = sdk.spans
    assert 2.0 <= start < end <= clock.now


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


def test_an_exception_that_quotes_the_request_is_not_quoted(sdk, clock):
    """A header's value that is no HTTP stands in the message, and in every exception that this one was raised from."""
    ours, checkout = made(sdk, clock, own=True)
    ours.failed(checkout, httpx.LocalProtocolError("Illegal header value b'Bearer key\\n'"))
    ours.ended(checkout)
    [event] = sdk.named("request").events
    assert event.attributes == {
        "exception.type": "httpx.LocalProtocolError",
        "exception.message": "not shown: it may quote a header's value",
        "exception.stacktrace": "",
        "exception.escaped": "False",
    }


def test_a_trace_of_an_unsampled_span_leaves_no_exemplar(clock):
    """It has no context to point to."""
    one, _ = made(Sdk(sampler=ALWAYS_OFF), clock)
    assert one.span_context is None
    assert made(Sdk(), clock)[0].span_context is not None


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


def test_a_wait_as_long_as_a_hand_over_may_take_is_one(sdk, clock):
    """To the second of the limit."""
    one, checkout = made(sdk, clock, at=0.0)
    checkout.queued = True
    one._wait(checkout, _trace._HANDOVER_SECONDS)
    assert len(sdk.spans) == 1
