"""What is wrong is said in one line, before any traffic: which argument, what it takes, what it got."""

import importlib
import logging
import re

import anyio
import httpx
import httpx2
import pytest
from prometheus_client import CollectorRegistry

import poolscope
from harness import Server
from observing import scrape
from poolscope import LoggingSink, PrometheusSink
from poolscope import _contract as c

FLAVOURS = {"httpx": httpx, "httpx2": httpx2}
OWN = "name, sinks, call_sites, held_too_long_seconds, reclaim"
OPTIONS = "verify, cert, trust_env, http1, http2, limits, proxy, uds, local_address, retries, socket_options"


@pytest.fixture(params=FLAVOURS)
def flavour(request):
    return request.param


@pytest.fixture
def http(flavour):
    return FLAVOURS[flavour]


@pytest.fixture
def ours(flavour):
    return importlib.import_module(f"poolscope.{flavour}")


def line(kind: type, message: str):
    """Expect this error with exactly this line."""
    return pytest.raises(kind, match=f"^{re.escape(message)}$")


def test_arguments_of_the_transport(ours, http):
    """An unknown one, one given with a transport, a transport of another colour, flavour or kind."""
    transport, sync = ours.InstrumentedTransport, ours.InstrumentedSyncTransport
    flavour = http.__name__
    with line(TypeError, f"InstrumentedTransport got an unknown argument 'size'; it takes {OWN}, {OPTIONS}"):
        transport(size=3)
    with line(TypeError, "InstrumentedTransport takes a transport or the arguments to make one, got both: http2, uds"):
        transport(http.AsyncHTTPTransport(), http2=True, uds="x")
    wanted = f"InstrumentedTransport takes a transport that is an instance of {flavour}.AsyncBaseTransport"
    for wrong, name in ((http.HTTPTransport(), f"{flavour}.HTTPTransport"), ("a", "builtins.str")):
        with line(TypeError, f"{wanted}, got {name}"):
            transport(wrong)
    wanted = f"InstrumentedSyncTransport takes a transport that is an instance of {flavour}.BaseTransport"
    with line(TypeError, f"{wanted}, got {flavour}.AsyncHTTPTransport"):
        sync(http.AsyncHTTPTransport())
    other = {httpx: httpx2, httpx2: httpx}[http]
    with line(TypeError, f"{wanted}, got {other.__name__}.HTTPTransport"):
        sync(other.HTTPTransport())


@pytest.mark.parametrize("name", ["", 7, b"pool"])
def test_name_of_the_pool(ours, name):
    """A string that says something, or nothing."""
    with line(TypeError, f"name takes a string that is not empty, got {name!r}"):
        ours.InstrumentedTransport(name=name)


def test_sinks(ours):
    """A sequence of objects with an attach method: neither one sink alone nor a sink's class."""
    sink = LoggingSink()
    with line(TypeError, f"sinks takes a sequence of sinks, got {sink!r}"):
        ours.InstrumentedTransport(sinks=sink)
    with line(TypeError, "sinks takes sinks, objects with an attach method, got 'prometheus'"):
        ours.InstrumentedTransport(sinks=["prometheus"])
    with line(TypeError, f"sinks takes sinks, objects with an attach method, got {LoggingSink!r}"):
        ours.InstrumentedTransport(sinks=[LoggingSink])


@pytest.mark.parametrize("value", [0, -1.5, "1", True, float("nan")])
def test_held_too_long_seconds(ours, value):
    """Seconds, more than none; None stands for no limit."""
    message = f"held_too_long_seconds takes seconds, a number above zero, or None, got {value!r}"
    with line(ValueError, message):
        ours.InstrumentedTransport(held_too_long_seconds=value)


@pytest.mark.parametrize("name", ["call_sites", "reclaim"])
def test_switches(ours, http, name):
    """True or False, also where a client is instrumented in place, which then stays as it was."""
    with line(TypeError, f"{name} takes True or False, got 'yes'"):
        ours.InstrumentedSyncTransport(**{name: "yes"})
    client = http.Client()
    transport = client._transport
    with line(TypeError, f"{name} takes True or False, got 1"):
        poolscope.instrument(client, **{name: 1})
    assert client._transport is transport


@pytest.mark.parametrize("timeout", [-1, None, "1", True, float("nan")])
def test_timeout_of_drain(ours, timeout):
    """Seconds, in both colours."""
    message = f"timeout takes seconds, a number that is not negative, got {timeout!r}"
    with line(ValueError, message):
        ours.InstrumentedSyncTransport(name="pool").drain(timeout)
    with line(ValueError, message):
        anyio.run(ours.InstrumentedTransport(name="pool").drain, timeout)


def test_arguments_of_the_sinks_that_come_with_it():
    """A registry that is none; slow_seconds below zero, or no number."""
    with line(TypeError, "registry takes a prometheus_client.CollectorRegistry, got 'default'"):
        PrometheusSink("default")
    for value in (-0.5, float("nan"), "1", None):
        with line(ValueError, f"slow_seconds takes seconds, a number that is not negative, got {value!r}"):
            LoggingSink(slow_seconds=value)
    with line(TypeError, "meter_provider takes an OpenTelemetry MeterProvider, got 'global'"):
        poolscope.OpenTelemetrySink("global")
    with line(TypeError, "logger takes a logging.Logger, got 'poolscope'"):
        LoggingSink("poolscope")


@pytest.mark.parametrize("client", [None, "client", httpx.HTTPTransport()], ids=type)
@pytest.mark.parametrize("function", ["instrument", "uninstrument"])
def test_client_of_instrument(function, client):
    """A client of httpx or httpx2, whatever the colour, and nothing else."""
    with line(TypeError, f"client takes an httpx or httpx2 Client or AsyncClient, got {client!r}"):
        getattr(poolscope, function)(client)


def test_arguments_of_instrument_are_checked_before_anything_is_changed(http):
    """A client with a mount is left as it was, whole."""
    client = http.Client(mounts={"all://": http.HTTPTransport()})
    before = client._transport, *client._mounts.values()
    with pytest.raises(TypeError, match="sinks takes"):
        poolscope.instrument(client, sinks=7)
    with pytest.raises(TypeError, match="name takes"):
        poolscope.instrument(client, name=7)
    assert (client._transport, *client._mounts.values()) == before


def test_wrapping_twice_counts_once(ours, http):
    """An instrumented transport wrapped again, a client instrumented twice, both: one instrumentation."""
    registry = CollectorRegistry()
    sinks = [PrometheusSink(registry)]
    with Server() as server:
        wrapped = ours.InstrumentedSyncTransport(name="pool", sinks=sinks)
        again = ours.InstrumentedSyncTransport(wrapped, name="other", sinks=sinks)
        with http.Client(transport=again) as client:
            for _ in range(2):
                assert poolscope.instrument(client, sinks=sinks) is client
            assert client._transport is again
            client.get(server.url())
        with http.Client() as client:
            for _ in range(2):
                poolscope.instrument(client, name="pool", sinks=sinks)
            first = client._transport
            poolscope.instrument(client, sinks=sinks)
            assert client._transport is first
            client.get(server.url())
    seen = scrape(registry)
    assert seen(c.CHECKOUTS) == seen(c.WAIT_TIME, "_count") == seen(c.OPENED) == seen(c.POOLS_OPENED) == 2


def test_transport_without_a_pool_is_measured_by_whole_requests_and_said_once(ours, http, caplog):
    """Mock and ASGI transports, and whatever else brings no httpcore pool."""

    class Mock(http.MockTransport):  # a class that no other test has told of
        pass

    registry = CollectorRegistry()
    for _ in range(2):
        mock = Mock(lambda request: http.Response(200, text="ok"))
        transport = ours.InstrumentedSyncTransport(mock, name="pool", sinks=[PrometheusSink(registry)])
        with http.Client(transport=transport) as client:
            assert client.get("http://service.test/").text == "ok"
    seen = scrape(registry)
    assert seen(c.REQUEST_DURATION, "_count", server_address="service.test", status_code="200") == 2
    whole = {c.ACTIVE_REQUESTS.prometheus_name, c.REQUEST_DURATION.prometheus_name}
    assert {s.name.partition("_bucket")[0].removesuffix("_count").removesuffix("_sum") for s in seen.samples} == whole
    told = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    line = "poolscope: Mock has no connection pool that can be seen; only whole requests are measured"
    assert told == [line]


def test_unknown_pools_are_refused_when_the_transport_is_made(ours, http, flavour):
    """A pool that is not of the flavour's httpcore, and one that lacks what is needed of it."""
    core = {"httpx": "httpcore", "httpx2": "httpcore2"}[flavour]

    class Pool:
        pass

    transport = http.HTTPTransport()
    real, transport._pool = transport._pool, Pool()
    where = f"{Pool.__module__}.{Pool.__qualname__}"
    with line(TypeError, f"transport has a pool of {where}, which is not one of {core}"):
        ours.InstrumentedSyncTransport(transport)
    transport._pool = real
    version = importlib.import_module(core).__version__
    del real._keepalive_expiry
    with line(RuntimeError, f"{core} {version} is not supported: its pool has no _keepalive_expiry"):
        ours.InstrumentedSyncTransport(transport)
    assert "create_connection" not in real.__dict__
