"""Hooks stand in for methods of an object they do not own: what is left of it, and what they do where it resists."""

import logging
from weakref import ref

import anyio
import httpcore
import httpx
from prometheus_client import CollectorRegistry

from harness import Server
from harness.certificates import client_context, server_context
from observing import imbalances, scrape
from poolscope import InstrumentedSyncTransport, InstrumentedTransport, PrometheusSink
from poolscope import _contract as c


class Slotted:
    """A stream of a user's that takes no attributes: it has slots, and no base class of httpcore's."""

    __slots__ = ("_inner",)

    def __init__(self, inner):
        self._inner = inner

    def __getattr__(self, name):
        return getattr(self._inner, name)


class TlsInPlace(httpcore.NetworkStream):
    """A stream of a user's that is the same object before and after TLS."""

    def __init__(self, inner):
        self.inner = inner

    def read(self, max_bytes, timeout=None):
        return self.inner.read(max_bytes, timeout)

    def write(self, buffer, timeout=None):
        self.inner.write(buffer, timeout)

    def close(self):
        self.inner.close()

    def start_tls(self, *args, **options):
        self.inner = self.inner.start_tls(*args, **options)
        return self

    def get_extra_info(self, info):
        return self.inner.get_extra_info(info)


class Backend(httpcore.NetworkBackend):
    """A user's backend, which wraps each stream."""

    def __init__(self, wrap):
        self.inner, self.wrap = httpcore.SyncBackend(), wrap

    def connect_tcp(self, *args, **options):
        return self.wrap(self.inner.connect_tcp(*args, **options))


def requests_through(wrap, server):
    """Three requests over a client whose streams are wrapped so; what was seen while it was open, and after."""
    inner, registry = httpx.HTTPTransport(verify=client_context()), CollectorRegistry()
    inner._pool._network_backend = Backend(wrap)
    transport = InstrumentedSyncTransport(inner, name="odd", sinks=[PrometheusSink(registry)])
    with httpx.Client(transport=transport) as client:
        assert [client.get(server.url()).status_code for _ in range(3)] == [200] * 3
        held = transport.snapshot()
    return held, transport, scrape(registry)


def test_a_stream_that_takes_no_hook_costs_nobody_a_request(caplog):
    """Its connection is out of our sight, which the log says once."""
    with Server() as server, caplog.at_level(logging.ERROR, "poolscope"):
        held, transport, seen = requests_through(Slotted, server)
    assert held.in_use == 0
    assert transport.observer.over
    assert imbalances(seen) == []
    assert len([record for record in caplog.records if "fault in the observer" in record.getMessage()]) == 1


def test_a_stream_that_is_secured_in_place_is_followed_on():
    """It is one connection, opened once and closed once."""
    with Server(tls=server_context()) as server:
        held, transport, seen = requests_through(TlsInPlace, server)
    assert (held.in_use, held.idle) == (0, 1)
    assert transport.observer.over
    assert seen.reasons() == {c.POOL_CLOSED: 1}


def test_a_close_that_is_awaited_later_still_closes():
    """As without us: until it has run, it holds the stream, which nobody else has to hold."""

    async def story(url):
        transport = InstrumentedTransport(name="late")
        backend = transport._pool._network_backend
        connection = transport._pool.create_connection(httpcore.URL(url).origin)
        stream = await connection._network_backend.connect_tcp("127.0.0.1", httpcore.URL(url).port)
        closing, there = stream.aclose(), ref(stream)
        del stream
        assert there() is not None
        await closing
        assert transport._pool._network_backend is backend

    with Server() as server:
        anyio.run(story, server.url())
