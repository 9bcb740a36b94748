"""Instrumenting a client that someone else made, a given transport, one without a pool; and what a pool is called."""

import gc
import logging
import weakref

import anyio
import pytest

from driving import drive, kits
from harness import HttpProxy, Server
from poolscope import PrometheusSink, instrument, uninstrument
from poolscope import _contract as c


@kits()
def test_a_client_is_instrumented_with_its_mounts_and_its_proxy(kit):
    """The main transport and each mount are wrapped, a mount that says 'none' stays; twice is once."""
    with Server() as server, Server() as mounted, HttpProxy() as proxy:
        mounts = {
            f"http://127.0.0.1:{mounted.port}": kit.bare_class(),
            "all://nowhere.invalid": None,
        }
        client = kit.client_class(proxy=proxy.url, mounts=mounts)
        sinks = [PrometheusSink(kit.registry)]
        assert instrument(instrument(client, name="shop", sinks=sinks), name="again", sinks=sinks) is client
        assert drive(kit, client, server.url(), mounted.url()) == [200, 200]
        assert proxy.accepted == 1
    seen = kit.scrape()
    assert seen(c.CHECKOUTS) == 2
    assert seen(c.CHECKOUTS, port=str(server.port)) == 1
    names = {sample.labels["http_client_connection_pool_name"] for sample in seen.samples if "pool_name" in str(sample)}
    assert names == {"shop", "shop all://", f"shop http://127.0.0.1:{mounted.port}"}


@kits()
def test_an_instrumented_client_gets_its_own_transports_back(kit):
    """uninstrument leaves the very objects that were there, and nothing is counted any more."""
    with Server() as server:
        client = kit.client_class()
        transport = client._transport
        pool = transport._pool
        instrument(client, name="shop", sinks=[PrometheusSink(kit.registry)])
        assert client._transport is not transport
        assert client._transport._pool is pool
        assert uninstrument(uninstrument(client)) is client
        assert client._transport is transport
        assert "create_connection" not in vars(pool)
        assert drive(kit, client, server.url()) == [200]
    assert kit.scrape()(c.CHECKOUTS) == 0


@kits()
def test_a_client_that_has_connections_is_counted_from_then_on(kit):
    """A connection older than the instrumentation is reused without a wait; the equations hold."""
    with Server() as server:

        async def main():
            client = kit.client_class()
            sync = kit.colour == "sync"
            client.get(server.url()) if sync else await client.get(server.url())
            instrument(client, name="shop", sinks=[PrometheusSink(kit.registry)])
            client.get(server.url()) if sync else await client.get(server.url())
            client.close() if sync else await client.aclose()

        anyio.run(main, backend=kit.backend)
        assert server.accepted == 1
    seen = kit.scrape()
    assert seen(c.ACQUISITIONS, source=c.REUSED) == seen(c.USE_TIME, "_count") == 1
    assert seen(c.WAIT_TIME, "_sum") == 0


@kits()
def test_a_given_transport_is_wrapped_and_wrapped_again_is_wrapped_once(kit, caplog):
    """Two wrappers of one transport, and a wrapper of a wrapper, share one instrumentation, and say so once."""
    with Server() as server:
        bare = kit.bare_class(limits=kit.limits(7, 3))
        sinks = [PrometheusSink(kit.registry)]
        first = kit.transport_class(bare, name="shop", sinks=sinks)
        second = kit.transport_class(bare, name="other", sinks=sinks)
        third = kit.transport_class(second, name="third", sinks=sinks)
        assert first.snapshot() == second.snapshot() == third.snapshot()
        assert [record.getMessage() for record in caplog.records] == [
            "poolscope: pool 'shop' is instrumented already; a name, sinks or options given again are not used"
        ]
        assert drive(kit, kit.client_class(transport=third), server.url()) == [200]
    seen = kit.scrape()
    assert seen(c.CHECKOUTS) == seen(c.OPENED) == seen(c.POOLS_OPENED) == 1
    assert (seen(c.MAX), seen(c.IDLE_MAX)) == (7, 3)


@kits()
def test_a_transport_without_a_pool_is_measured_by_whole_requests(kit, caplog):
    """Duration and active requests alone, and that is said once."""

    def handler(request):
        return kit.http.Response(204)

    class Mock(kit.http.MockTransport):
        pass

    with caplog.at_level(logging.WARNING, "poolscope"):
        for _ in range(2):
            transport = kit.transport_class(Mock(handler), name="mock", sinks=[PrometheusSink(kit.registry)])
            assert drive(kit, kit.client_class(transport=transport), "http://shop.invalid/") == [204]
    assert [record.getMessage() for record in caplog.records] == [
        "poolscope: Mock has no connection pool that can be seen; only whole requests are measured"
    ]
    seen = kit.scrape()
    assert seen(c.REQUEST_DURATION, "_count", status_code="204") == 2
    assert seen(c.ACTIVE_REQUESTS) == 0
    assert {sample.name.partition("_request")[0] for sample in seen.samples} == {"http_client", "http_client_active"}


@kits(colours=["asyncio"])
def test_an_asgi_transport_is_measured_by_whole_requests(kit):
    """An application called in-process has no pool."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    transport = kit.transport_class(kit.http.ASGITransport(app), sinks=[PrometheusSink(kit.registry)])
    assert drive(kit, kit.client_class(transport=transport), "http://shop.invalid/") == [200]
    assert kit.scrape()(c.REQUEST_DURATION, "_count", status_code="200") == 1


@kits()
def test_a_dropped_client_goes_at_once(kit):
    """Without a close and without the garbage collector, as a bare client does: we make no cycle."""
    gc.collect()
    gc.disable()
    try:
        transport = kit.transport_class(name="shop", sinks=[PrometheusSink(kit.registry)])
        pool = weakref.ref(transport._pool)
        del transport
        assert pool() is None
    finally:
        gc.enable()
    seen = kit.scrape()
    assert (seen(c.POOLS), seen(c.POOLS_OPENED)) == (0, 1)


@kits(colours=["asyncio"])
def test_an_unnamed_pool_is_called_after_who_made_it(kit):
    """The module and function; past twenty such names it is `default`, and past a hundred given ones `_OTHER`."""

    def make_client():
        return kit.transport_class(sinks=[], verify=False)

    assert make_client().snapshot().name.endswith("who_made_it.<locals>.make_client")
    names = set()
    for number in range(30):
        scope = {"make": kit.transport_class}
        exec(f"def maker_{number}(): return make(sinks=[], verify=False)", scope | {"__name__": "shop"}, scope)
        names.add(scope[f"maker_{number}"]().snapshot().name)
    assert len(names) == 20
    assert "default" in names
    given = {kit.transport_class(name=f"tenant {n}", sinks=[], verify=False).snapshot().name for n in range(150)}
    assert len(given) == 101
    assert c.OTHER in given


@kits(colours=["asyncio"])
def test_what_is_no_client_is_refused(kit):
    """One line that names the argument and what it got."""
    for change in (instrument, uninstrument):
        with pytest.raises(TypeError, match="client takes an httpx or httpx2 Client or AsyncClient, got 'x'"):
            change("x")
