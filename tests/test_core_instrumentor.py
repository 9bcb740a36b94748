"""The instrumentor in a process that has its flavours: what clients become, and what they are again after it."""

from types import SimpleNamespace
from weakref import WeakSet

import httpx
import httpx2
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from poolscope import InstrumentedSyncTransport
from poolscope import _contract as c
from poolscope import _instrumentor as instrumentor
from poolscope._instrumentor import PoolscopeInstrumentor
from poolscope._setup import Setup

CLIENTS = [getattr(flavour, name) for flavour in (httpx, httpx2) for name in ("Client", "AsyncClient")]


def makers():
    """Which function makes each kind of client: the wrapper of one equals it, so they are told by their ids."""
    return [id(vars(client)["__init__"]) for client in CLIENTS]


@pytest.fixture
def reader():
    """What reads the metrics of clients that are made while the instrumentor is on."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    before = makers()
    one = PoolscopeInstrumentor()
    one._instrument(meter_provider=provider)
    yield reader
    one._uninstrument()
    provider.shutdown()
    assert makers() == before


def pools(reader):
    """How many pools the metrics tell of."""
    found = reader.get_metrics_data()
    metrics = [m for r in found.resource_metrics for s in r.scope_metrics for m in s.metrics] if found else []
    return sum(point.value for m in metrics if m.name == c.POOLS.name for point in m.data.data_points)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_that_is_made_is_instrumented(reader, client):
    """With what it was given, and with the sink that the instrumentor was given."""
    made = client(base_url="http://shop", verify=False)
    assert isinstance(made._transport, Setup)
    assert str(made.base_url) == "http://shop"
    assert pools(reader) == 1


def test_a_subclass_that_gives_its_arguments_by_place_is_made_as_it_would_be(reader):
    """All of them reach it."""
    given = []

    class Odd(httpx.Client):
        pass

    def make(*args, **options):
        given.append((args, options))

    instrumentor._after(None)(make, Odd.__new__(Odd), (1, 2), {"three": 3})
    assert given == [((1, 2), {"three": 3})]


class Odd(httpx.HTTPTransport):
    """A transport that is refused: its pool is of an unknown class."""

    def __init__(self):
        super().__init__(verify=False)
        self._pool = SimpleNamespace(close=lambda: None)


def test_a_client_that_cannot_be_instrumented_stays_as_it_is(reader, caplog, monkeypatch):
    """Which the log says, once a class of its transports: there may be a client per request."""
    monkeypatch.setattr(instrumentor, "_told", WeakSet())
    other = type("Other", (Odd,), {})
    for transport in (Odd(), Odd(), other(), other(), Odd()):
        assert httpx.Client(transport=transport, verify=False)._transport is transport
    httpx.Client(transport=Odd(), mounts={"http://shop": other()}, verify=False)
    mixed = httpx.Client(transport=Odd(), mounts={"http://shop": httpx.MockTransport(len)}, verify=False)
    first, second, third = caplog.records
    assert first.getMessage().startswith("poolscope: <httpx.Client object at ")
    assert first.getMessage().endswith(" could not be instrumented")
    assert (first.exc_info[0], second.exc_info[0], third.args) == (TypeError, TypeError, (mixed,))


def test_what_is_no_client_is_told_of_by_its_class(reader, caplog, monkeypatch):
    """Whatever it is that was made there."""
    monkeypatch.setattr(instrumentor, "_told", WeakSet())
    for what in ("no client", "no client", 7):
        instrumentor._after(None)(lambda: None, what, (), {})
    told = [record.getMessage() for record in caplog.records]
    assert told == [f"poolscope: {what} could not be instrumented" for what in ("'no client'", "7")]
    assert all(record.exc_info for record in caplog.records)


def test_a_client_that_has_sinks_of_its_own_keeps_them_and_nothing_is_told(reader, caplog):
    """Somebody passed a transport of ours; a mount of another class beside it is instrumented."""
    given = InstrumentedSyncTransport(name="shop", sinks=[], verify=False)
    client = httpx.Client(transport=given, verify=False)
    assert (client._transport, caplog.records, pools(reader)) == (given, [], 0)
    mount = httpx.HTTPTransport(verify=False)
    mixed = httpx.Client(transport=given, mounts={"http://shop": mount}, verify=False)
    assert (mixed._transport, pools(reader)) == (given, 1)


def test_after_it_clients_are_what_they_were():
    """Also those of a flavour that is imported only then; on again, each is wrapped once, with that time's sink."""
    before = makers()
    one = PoolscopeInstrumentor()
    one._instrument()
    first = one._sink
    assert one._wrapped == {"httpx", "httpx2"}
    assert one.instrumentation_dependencies() == ()
    wrapped = makers()
    one._wrap("httpx", first)
    assert makers() == wrapped != before
    one._uninstrument()
    assert makers() == before
    one._wrapped.clear()
    one._wrap("httpx", first)
    assert makers() == before
    assert not isinstance(httpx.Client(verify=False)._transport, Setup)
    one._instrument()
    wrapped = makers()
    one._wrapped.clear()
    one._wrap("httpx", first)
    assert (makers(), one._wrapped) == (wrapped, set())
    one._wrapped.update({"httpx", "httpx2"})
    one._uninstrument()
    assert makers() == before
