"""The set-up of a connection as spans: each part from its own moment to its own, under the request's."""

from types import SimpleNamespace

import pytest
from opentelemetry import context as otel
from opentelemetry.trace import StatusCode

from ledger import Ledger
from poolscope import _contract as c
from poolscope.sinks import _client_span
from poolscope.sinks._attempt import Attempt
from tracing_desk import EPOCH, WHERE, Sdk, clock, made, sdk

__all__ = ["clock", "sdk"]


def test_a_set_up_ends_each_part_where_the_next_begins(clock):
    """The socket until its peer is known, TLS until it is agreed, the whole until it is said to be over."""
    clock.now = 1.0
    setup = Attempt("setup", "shop:443", {"a": 1})
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
    setup = Attempt("setup", "shop:443", {})
    setup.connected(peer)
    [part] = setup.parts
    assert part.name == f"socket connect {name}"
    assert part.attributes == _client_span.peer_attributes(peer) | attributes


def test_what_a_failed_set_up_was_about_ends_with_its_error(clock):
    """The part that runs has the error, too; one that had ended has none. TLS that agreed on nothing says nothing."""
    clock.now = 1.0
    setup = Attempt("setup", "shop:443", {})
    clock.now = 3.0
    setup.ended("ConnectTimeout")
    assert (setup.whole.error, setup.parts[0].error) == ("ConnectTimeout", "ConnectTimeout")
    assert setup.parts[0].end == setup.whole.end == (EPOCH + 3) * 10**9
    over = Attempt("setup", "shop:443", {})
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
