"""The instrumentor in a process that has its flavours: what clients become, and what they are again after it."""

import httpx
import httpx2
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

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


def test_a_client_that_cannot_be_instrumented_stays_as_it_is(reader, caplog):
    """Which the log says."""
    instrumentor._after(None)(lambda: None, "no client", (), {})
    [record] = caplog.records
    assert record.getMessage() == "poolscope: 'no client' could not be instrumented"
    assert record.exc_info


def test_after_it_clients_are_what_they_were():
    """Also those of a flavour that is imported only then; on again, each is wrapped once."""
    before = makers()
    one = PoolscopeInstrumentor()
    one._instrument()
    assert one._wrapped == {"httpx", "httpx2"}
    assert one.instrumentation_dependencies() == ()
    wrapped = makers()
    one._wrap("httpx", None)
    assert makers() == wrapped != before
    one._uninstrument()
    assert makers() == before
    one._wrapped.clear()
    one._wrap("httpx", None)
    assert makers() == before
    assert not isinstance(httpx.Client(verify=False)._transport, Setup)
