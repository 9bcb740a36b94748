"""Callers with ways of their own: a transport that retries, a client instrumented anew, code in the midst of ours.

All on real sockets. What must hold is that the numbers balance, that no slot counts as lost, and that nobody waits for
himself.
"""

import contextlib
import gc
import importlib
import signal
import threading

import anyio
import anyio.lowlevel
import httpx
import pytest
from prometheus_client import CollectorRegistry

from driving import drive, held, holding, kits, reached
from harness import Server, refused_port
from observing import imbalances, scrape
from poolscope import InstrumentedSyncTransport, PrometheusSink, instrument, uninstrument
from poolscope import _contract as c
from poolscope import events as e

ASKED = "http://asked.test/"


def retrying(kit, attempts):
    """Give a user's transport that sends a request to each of these URLs, and answers with the last one's response."""

    def begin(request, url):
        return kit.http.Request("GET", url, extensions=request.extensions)

    class Retrying(kit.http.HTTPTransport):
        def handle_request(self, request):
            for url in attempts[:-1]:
                try:
                    response = super().handle_request(begin(request, url))
                except kit.http.ConnectError:
                    continue
                response.read()
                response.close()
            return super().handle_request(begin(request, attempts[-1]))

    class AsyncRetrying(kit.http.AsyncHTTPTransport):
        async def handle_async_request(self, request):
            for url in attempts[:-1]:
                try:
                    response = await super().handle_async_request(begin(request, url))
                except kit.http.ConnectError:
                    continue
                await response.aread()
                await response.aclose()
            return await super().handle_async_request(begin(request, attempts[-1]))

    return Retrying() if kit.colour == "sync" else AsyncRetrying()


@contextlib.asynccontextmanager
async def unread(driver, url):
    """A response whose body has not been read inside the block; then it is, and closed."""
    response = await driver.open(url)
    yield
    await driver.read(response)
    await driver.close(response)


def instrumented(kit, client, name="pool"):
    """Instrument somebody's client; give its driver."""
    instrument(client, name=name, sinks=[PrometheusSink(kit.registry)])
    return kit.driver_of(client, client._transport)


@kits()
@pytest.mark.parametrize("first", ["answers", "another origin answers", "refuses"])
def test_a_transport_that_sends_again_waits_again(kit, first, caplog):
    """On one connection, on two, and after one that could not be made; no slot is taken for lost meanwhile."""
    with Server() as server, Server() as other, refused_port() as nobody:
        port = {"answers": server.port, "another origin answers": other.port, "refuses": nobody}[first]
        inner = retrying(kit, [f"http://127.0.0.1:{port}/", server.url()])

        async def main():
            driver = instrumented(kit, kit.client_class(transport=inner))
            for _ in range(4):
                async with unread(driver, ASKED):
                    for _ in range(2):
                        assert kit.scrape()(c.ORPHANED) == 0
                    assert (kit.scrape()(c.IN_USE), kit.scrape()(c.CHECKED_OUT)) == (1, 1)
                assert (kit.scrape()(c.IN_USE), kit.scrape()(c.CHECKED_OUT)) == (0, 0)
            for _ in range(3):  # plain again, each one
                await driver.get(ASKED)
            await driver.close_client()

        anyio.run(main, backend=kit.backend)
        seen = kit.scrape()
    assert (seen(c.CHECKOUTS), seen(c.REQUEUES, stage=c.LATE), seen(c.USE_TIME, "_count")) == (7, 7, 7)
    assert seen(c.OPEN_CONNECTIONS) == seen(c.PENDING) == seen(c.IN_USE) == 0
    assert "lost a slot" not in caplog.text


@kits()
@pytest.mark.parametrize("looked", [False, True], ids=["", "looked at while one waits"])
def test_a_transport_that_changes_the_url_leaves_its_requests_where_they_came_in(kit, looked):
    """Each counts once, for one origin, and its verdict blames nobody else; its connection is where it leads."""

    def elsewhere(request):
        request.url = request.url.copy_with(host="127.0.0.1", port=server.port)
        return request

    class Finding(kit.bare_class):
        def handle_request(self, request):
            return super().handle_request(elsewhere(request))

        async def handle_async_request(self, request):
            return await super().handle_async_request(elsewhere(request))

    with Server(held) as server:

        async def main():
            inner = Finding(limits=kit.http.Limits(max_connections=1))
            driver = instrumented(kit, kit.client_class(transport=inner, timeout=kit.http.Timeout(5, pool=0.2)))
            async with holding(driver, server, ASKED):
                with pytest.raises(kit.http.PoolTimeout) as full:
                    await driver.get(ASKED)
                assert (
                    "slow_origin: 1 of 1 connections have awaited an answer of asked.test:80" in full.value.__notes__[0]
                )
            async with anyio.create_task_group() as group, unread(driver, ASKED):
                group.start_soon(driver.get, ASKED)
                while looked and not kit.scrape()(c.PENDING):
                    await anyio.lowlevel.checkpoint()
            for _ in range(3):
                await driver.get(ASKED)
            await driver.close_client()

        anyio.run(main, backend=kit.backend)
        seen = kit.scrape()
    assert imbalances(seen) == []
    assert (seen(c.CHECKOUTS), seen(c.CHECKOUTS, server_address="asked.test")) == (7, 7)
    assert (seen(c.OPENED), seen(c.OPENED, server_address="127.0.0.1")) == (1, 1)


@kits(colours=["asyncio", "trio"])
def test_a_transport_that_sends_a_copy_loses_no_slot(kit, caplog):
    """Both are under way at a time: a mirror, a hedge. All balances, and nothing is said of a slot that is lost."""
    with Server(held) as server, Server(held) as other:

        class Mirror(kit.bare_class):
            async def handle_async_request(self, request):
                async def copy():
                    sent = kit.http.Request("GET", other.url(), extensions=request.extensions)
                    response = await super(Mirror, self).handle_async_request(sent)
                    await response.aread()
                    await response.aclose()

                async with anyio.create_task_group() as group:
                    group.start_soon(copy)
                    await reached(other, "held")
                    return await super().handle_async_request(request)

        async def main():
            driver = instrumented(kit, kit.client_class(transport=Mirror(), timeout=5))
            async with anyio.create_task_group() as group:
                group.start_soon(driver.get, server.url())
                await reached(server, "held")
                for _ in range(2):
                    seen = kit.scrape()
                    assert (seen(c.IN_USE), seen(c.ORPHANED)) == (2, 0)
                other.gate("go").set()
                server.gate("go").set()
            seen = kit.scrape()
            assert (seen(c.CHECKOUTS), seen(c.ACQUISITIONS), seen(c.USE_TIME, "_count")) == (1, 1, 1)
            assert seen(c.PENDING) == seen(c.IN_USE) == seen(c.ORPHANED) == 0
            await driver.close_client()

        anyio.run(main, backend=kit.backend)
    assert imbalances(kit.scrape()) == []
    assert "lost a slot" not in caplog.text


@kits()
def test_a_second_attempt_that_finds_no_slot_is_a_time_out(kit):
    """Not a use of what the first one had; it waited as long as it may."""

    class Greedy(kit.bare_class):
        def handle_request(self, request):
            self.kept = super().handle_request(request)
            return super().handle_request(request)

        async def handle_async_request(self, request):
            self.kept = await super().handle_async_request(request)
            return await super().handle_async_request(request)

    with Server() as server:

        async def main():
            inner = Greedy(limits=kit.http.Limits(max_connections=1))
            driver = instrumented(kit, kit.client_class(transport=inner, timeout=kit.http.Timeout(5, pool=0.2)))
            with pytest.raises(kit.http.PoolTimeout) as full:
                await driver.get(server.url())
            assert "waited 0.2" in full.value.__notes__[0]
            await driver.close(inner.kept)
            seen = kit.scrape()
            assert seen(c.PENDING) == seen(c.IN_USE) == seen(c.CHECKED_OUT) == 0
            await driver.close_client()
            return seen

        seen = anyio.run(main, backend=kit.backend)
    assert (seen(c.CHECKOUTS), seen(c.ACQUISITIONS), seen(c.TIMEOUTS), seen(c.USE_TIME, "_count")) == (1, 1, 1, 0)
    assert (seen(c.REQUEUES, stage=c.LATE), seen(c.WAIT_TIME, "_count"), imbalances(seen)) == (1, 2, [])
    assert seen(c.WAIT_TIME, "_sum") >= 0.2


@kits()
def test_what_a_retry_leaves_unread_closes_its_connection_for_that(kit):
    """Not as a server that ends it."""

    class Impatient(kit.bare_class):
        def handle_request(self, request):
            super().handle_request(request).close()
            return super().handle_request(request)

        async def handle_async_request(self, request):
            await (await super().handle_async_request(request)).aclose()
            return await super().handle_async_request(request)

    client = kit.client_class(transport=Impatient())
    with Server() as server:
        instrumented(kit, client)
        assert drive(kit, client, *[server.url()] * 2) == [200] * 2
    assert kit.scrape().reasons() == {c.RESPONSE_UNREAD: 2, c.POOL_CLOSED: 1}


@kits()
def test_an_answer_from_a_cache_is_no_use_of_a_connection(kit):
    """A user's transport that sends what it has not yet, and answers by itself what it has."""

    class Caching(kit.bare_class):
        known = b""

        def _hit(self):
            return self.known and kit.http.Response(200, content=self.known)

        def handle_request(self, request):
            if not self.known:
                self.known = super().handle_request(request).read()
            return self._hit()

        async def handle_async_request(self, request):
            if not self.known:
                self.known = await (await super().handle_async_request(request)).aread()
            return self._hit()

    client = kit.client_class(transport=Caching())
    with Server() as server:
        instrumented(kit, client)
        assert drive(kit, client, *[server.url()] * 3) == [200] * 3
    seen = kit.scrape()
    assert (seen(c.CHECKOUTS), seen(c.ACQUISITIONS), seen(c.REQUEST_DURATION, "_count")) == (1, 1, 3)
    assert seen(c.PENDING) == seen(c.IN_USE) == seen(c.CHECKED_OUT) == 0
    assert imbalances(seen) == []


@kits()
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a connection in use is left to collect
@pytest.mark.parametrize("unread", [False, True])
def test_a_client_in_a_cycle_is_used_and_closed_by_a_finalizer(kit, unread):
    """As without us: the garbage collector had cleared weak references to all of it by then."""

    class Session:
        def __init__(self):
            self.client = instrument(kit.client_class(), name="cycle", sinks=[PrometheusSink(kit.registry)])
            self.itself = self

        def __del__(self):
            ends.append(finish(self))

    def finish(session):
        if kit.colour == "sync":
            if not unread:
                codes.append(session.client.get(server.url()).status_code)
            return session.client.close()
        return session.client  # it is closed later, as openai's is

    ends, codes = [], []
    with Server() as server:

        async def main():
            session = Session()
            driver = kit.driver_of(session.client, session.client._transport)
            response = await driver.open(server.url())
            if not unread:
                await driver.read(response)
                await driver.close(response)
            del session, driver, response
            gc.collect()
            for client in filter(None, ends):
                if not unread:
                    codes.append((await client.get(server.url())).status_code)
                await client.aclose()

        anyio.run(main, backend=kit.backend)
    assert (codes, len(ends)) == ([] if unread else [200], 1)
    ends.clear()
    gc.collect()
    seen = kit.scrape()
    assert (seen(c.OPENED), seen(c.OPEN_CONNECTIONS)) == (1, 0)
    assert unread or seen(c.LEAKED, type=c.POOL_UNCLOSED) == 0


@kits()
def test_a_client_that_is_instrumented_anew_counts_under_its_new_name(kit):
    """Connections of the first time report their end to the first pool, and no request to either."""
    with Server() as server:

        async def main():
            client = kit.client_class()
            for name in ("first", "second"):
                uninstrument(client)
                driver = instrumented(kit, client, name)
                for _ in range(3):
                    async with unread(driver, server.url()):
                        kit.scrape()
                    assert kit.scrape()(c.IN_USE) == 0
            await driver.close_client()

        anyio.run(main, backend=kit.backend)
    seen = kit.scrape()
    assert [seen(c.CHECKOUTS, name=name) for name in ("first", "second")] == [3, 3]
    assert [seen(c.REQUEST_DURATION, "_count")] == [6]
    assert [seen(c.CLOSED, name=name) for name in ("first", "second")] == [1, 0]


@kits()
def test_a_request_that_waits_while_its_client_is_instrumented_anew_is_the_first_pools_alone(kit, caplog):
    """It is handed a connection that the second one made: neither loses count, every scrape can be read."""
    with Server(lambda peer: peer.request() and peer.respond(200, b"ok", [("connection", "close")])) as server:

        async def main():
            client = kit.client_class(limits=kit.limits(1))
            driver = instrumented(kit, client, "first")
            async with anyio.create_task_group() as tasks, unread(driver, server.url()):
                tasks.start_soon(driver.get, server.url())
                while driver.transport.snapshot().waiting < 1:
                    await anyio.lowlevel.checkpoint()
                uninstrument(client)
                instrumented(kit, client, "second")
            async with unread(instrumented(kit, client, "second"), server.url()):
                assert (kit.scrape()(c.IN_USE, name="second"), kit.scrape()(c.ORPHANED)) == (1, 0)
            await driver.close_client()

        anyio.run(main, backend=kit.backend)
        gc.collect()
        seen = kit.scrape()
    assert [seen(c.CHECKOUTS, name=name) for name in ("first", "second")] == [2, 1]
    assert [seen(c.USE_TIME, "_count", name=name) for name in ("first", "second")] == [2, 1]
    assert seen(c.OPEN_CONNECTIONS) == seen(c.PENDING) == seen(c.IN_USE) == seen(c.CHECKED_OUT) == 0
    assert "lost a slot" not in caplog.text


def wrapping(kit, inner):
    """Give a user's wrapper that shows what it wraps, pool and all; it gets a token first, where a header says so."""

    class Wrapping(kit.http.BaseTransport if kit.colour == "sync" else kit.http.AsyncBaseTransport):
        async def handle_async_request(self, request):
            if url := request.headers.get("first"):
                assert (await self.client.get(url)).text == "ok"
            return await inner.handle_async_request(request)

        def handle_request(self, request):
            if url := request.headers.get("first"):
                assert self.client.get(url).text == "ok"
            return inner.handle_request(request)

        def close(self):
            inner.close()

        async def aclose(self):
            await inner.aclose()

        def __getattr__(self, name):
            return getattr(inner, name)

    return Wrapping()


async def counted_once(kit, url, wrap):
    """Three requests through a wrapper of a transport of ours, by a client that is instrumented once more."""
    inner = kit.transport_class(name="pool", sinks=[PrometheusSink(kit.registry)])
    client = kit.client_class(transport=wrap(inner))
    driver = instrumented(kit, client)
    for _ in range(3):
        await driver.get(url)
    seen = kit.scrape()
    assert (seen(c.CHECKOUTS), seen(c.USE_TIME, "_count"), seen(c.REQUEST_DURATION, "_count")) == (3, 3, 3)
    assert seen(c.PENDING) == seen(c.IN_USE) == seen(c.REQUEUES) == 0
    return driver


@kits()
def test_a_client_whose_transport_wraps_ours_counts_each_request_once(kit):
    """Instrumented once more, it is around and below; a request that the wrapper sends by the client is one, too."""
    with Server() as server:

        async def main():
            driver = await counted_once(kit, server.url(), lambda inner: wrapping(kit, inner))
            driver.client._transport.wrapped.client = driver.client
            await driver.get(server.url(), headers={"first": server.url("/token")})
            await driver.close_client()

        anyio.run(main, backend=kit.backend)
    seen = kit.scrape()
    assert seen(c.CHECKOUTS) == seen(c.USE_TIME, "_count") == 5
    assert seen(c.OPEN_CONNECTIONS) == seen(c.PENDING) == seen(c.IN_USE) == seen(c.REQUEUES) == 0


@kits(flavours=["httpx"])
def test_a_client_whose_transport_is_opentelemetrys_around_ours_counts_each_request_once(kit):
    """Theirs is for httpx alone."""
    theirs = importlib.import_module("opentelemetry.instrumentation.httpx")
    wrapper = theirs.SyncOpenTelemetryTransport if kit.colour == "sync" else theirs.AsyncOpenTelemetryTransport
    with Server() as server:

        async def main():
            await (await counted_once(kit, server.url(), wrapper)).close_client()

        anyio.run(main, backend=kit.backend)


def elsewhere(kit):
    """Give a transport whose pool's connections open their sockets by themselves, as httpx-socks' do."""
    sync = kit.colour == "sync"
    core = importlib.import_module("httpcore2" if kit.newer_core else "httpcore")
    below = core.ConnectionPool if sync else core.AsyncConnectionPool
    connection = core.HTTPConnection if sync else core.AsyncHTTPConnection

    class Pool(below):
        def create_connection(self, origin):
            return connection(origin=origin, keepalive_expiry=5.0)

    transport = kit.bare_class()
    transport._pool = Pool(max_connections=2, max_keepalive_connections=2)
    return transport


@kits()
def test_a_pool_whose_sockets_are_not_seen_says_who_has_them_all_the_same(kit):
    """Made with its first answer, idle between requests, closed by the pool, or dropped with what it gave up."""

    def script(peer):
        for count, _ in enumerate(peer.requests()):
            peer.respond(200, b"ok", [("connection", "close")] if count == 2 else [])
            if count == 2:
                return

    with Server(script) as server:

        async def main():
            driver = instrumented(kit, kit.client_class(transport=elsewhere(kit)))
            for _ in range(4):
                async with unread(driver, server.url()):
                    assert (kit.scrape()(c.IN_USE), kit.scrape()(c.CHECKED_OUT)) == (1, 1)
                assert kit.scrape()(c.IN_USE) == 0
            gc.collect()
            seen = kit.scrape()
            assert (seen(c.OPENED), seen(c.OPEN_CONNECTIONS)) == (2, 1)
            await driver.close_client()

        anyio.run(main, backend=kit.backend)
    seen = kit.scrape()
    assert (seen(c.ACQUISITIONS, source=c.NEW), seen(c.ACQUISITIONS, source=c.REUSED)) == (2, 2)
    assert seen.reasons() == {c.DROPPED: 1, c.POOL_CLOSED: 1}


class Wrapper:
    """What an SDK makes of a client: collected, it closes it. A cycle, so the garbage collector decides when."""

    def __init__(self, client):
        self.client, self.itself = client, self

    def __del__(self):
        self.client.close()


def within(seconds, call):
    """Run a call in a thread; it must end."""
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), "it waits for itself"


def test_a_client_that_is_closed_by_a_finalizer_in_the_midst_of_a_look_is_closed_after_it():
    """The garbage collector runs where it likes, under the pool's lock, too: nobody waits, and the close is counted."""
    registry = CollectorRegistry()
    with Server() as server:
        transport = InstrumentedSyncTransport(name="pool", sinks=[PrometheusSink(registry)])
        wrapper = Wrapper(httpx.Client(transport=transport))
        wrapper.client.get(server.url())
        wrapper.client.stream("GET", server.url()).__enter__()  # a socket that closes in the midst of it, too
        del wrapper
        within(20, lambda: transport.observer.read(gc.collect))
        seen = scrape(registry)
    assert imbalances(seen) == []
    assert (seen(c.OPEN_CONNECTIONS), seen(c.POOLS), seen(c.IN_USE)) == (0, 0, 0)
    assert sum(seen.reasons().values()) == seen(c.OPENED)


def test_a_client_that_is_closed_by_a_finalizer_under_a_sinks_own_lock_is_told_of_after_it():
    """prometheus_client's native metrics have such a lock: the collector comes while this thread holds it."""
    lock, heard = threading.Lock(), []

    class Locking:
        def attach(self, pool):
            return dict.fromkeys((e.PoolClosed, e.ConnectionClosed), self.hear)

        def hear(self, event):
            with lock:
                heard.append(type(event))

    def collect():
        with lock:
            gc.collect()

    with Server() as server:
        transport = InstrumentedSyncTransport(name="pool", sinks=[Locking()])
        wrapper = Wrapper(httpx.Client(transport=transport))
        wrapper.client.get(server.url())
        del wrapper
        within(20, collect)
        assert heard == []
        assert transport.snapshot().idle == 0
    assert heard == [e.ConnectionClosed, e.PoolClosed]


def test_a_signals_handler_may_ask_for_a_picture_at_any_moment():
    """And send a request, which is not counted then: what it would be told of is in the midst of something."""
    pictures = []
    with Server() as server, httpx.Client() as client:
        transport = instrument(client, name="pool", sinks=[])._transport
        client.get(server.url())

        def handler(*_):
            pictures.append(transport.snapshot())
            pictures.append(client.get(server.url()).status_code)

        before = signal.signal(signal.SIGUSR1, handler)
        try:
            transport.observer.read(lambda: signal.raise_signal(signal.SIGUSR1))
        finally:
            signal.signal(signal.SIGUSR1, before)
        assert (pictures[0].idle, pictures[1]) == (1, 200)
        assert transport.snapshot().at_rest
