"""Whose child a span is, when many requests run at once and connections close that are not theirs."""

import gc
import os
import threading
from contextlib import suppress
from functools import partial

from opentelemetry import trace

from driving import kits, reached, together
from harness import Server
from poolscope import _contract as c
from spanning import SETUP, SOCKET, WAIT, run, tracing

REQUESTS = 200


@kits()
def test_200_requests_at_once_each_have_their_own_spans(kit):
    """Five connections, distinct parents: what is under a parent is its own request's, and nothing is a stranger's."""
    with tracing(kit) as tracer, Server() as server:

        async def story(driver):
            async def one(number):
                with tracer.span(f"parent {number}"):
                    await driver.get(server.url(f"/{number}"))

            await together(*[partial(one, number) for number in range(REQUESTS)])

        run(kit, story, limits=kit.limits(5, 5), timeout=50)
        tree = tracer.tree()
        assert len(tree.clients) == REQUESTS
        for client in tree.clients:
            assert tree.parent(client).name == "parent " + client.attributes["url.full"].rsplit("/", 1)[1]
            assert {child.short for child in tree.children(client)} <= {WAIT, SETUP}
        assert len(tree.named(WAIT)) >= (1 if kit.colour == "sync" else REQUESTS // 10)  # threads seldom meet
        for setup in tree.named(SETUP):
            assert tree.shape(setup) == {SOCKET: {}}
            # In threads, httpcore 1.0 may give away a connection between its set-up and its first request.
            if kit.newer_core or kit.colour != "sync":
                assert tree.parent(setup).attributes[c.CONNECTION_ID] == setup.attributes[c.CONNECTION_ID]
        carried = {request.headers["traceparent"].split("-")[2]: request.target for request in server.requests}
        assert carried == {s.span_id.hex(): "/" + s.attributes["url.full"].rsplit("/", 1)[1] for s in tree.clients}


@kits(colours=["sync"])
def test_threads_that_all_come_first_are_all_traced(kit):
    """They find the pool's entrance watched, once, whoever of them watched it."""
    with tracing(kit) as tracer, Server() as server:

        def first(client, start):
            start.wait(10)
            with suppress(kit.http.TransportError):  # httpcore's own, of threads that meet on an idle connection
                client.get(server.url())

        for _ in range(20):
            transport = kit.ours.InstrumentedSyncTransport(verify=False, name="pool", sinks=kit.sinks)
            watch, start = transport.observer.watch_entrance, threading.Barrier(8)

            def slowly(observer, watch=watch):
                os.sched_yield()  # let the others come, too
                watch(observer)

            transport.observer.watch_entrance = slowly
            with kit.http.Client(verify=False, transport=transport) as client:
                threads = [threading.Thread(target=first, args=(client, start)) for _ in range(8)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join(20)
                transport._pool.handle_request.__self__.remove()
                assert "handle_request" not in vars(transport._pool)
                assert transport.observer.tracing is not None
        assert len(tracer.tree().clients) == 160


@kits()
def test_a_connection_that_the_pool_closes_leaves_no_span_under_the_request_that_made_room(kit):
    """The second origin evicts the first one's idle connection: its request shows its own set-up and nothing else."""
    with tracing(kit) as tracer, Server() as one, Server() as other:

        async def story(driver):
            await driver.get(one.url())
            await driver.get(other.url())

        seen = run(kit, story, limits=kit.limits(1, 1))
        assert seen.reasons()["evicted"] == 1
        tree = tracer.tree()
        first, second = tree.clients
        assert tree.shape(first) == tree.shape(second) == {SETUP: {SOCKET: {}}}
        assert tree.children(second)[0].attributes[c.PORT] == other.port
        assert not any(span.events for span in tree.spans)


@kits()
def test_nothing_of_a_request_is_current_after_it(kit):
    """Neither while its body is read, nor when it failed."""
    with tracing(kit) as tracer, Server() as server:

        async def story(driver):
            with tracer.span() as mine:
                response = await driver.open(server.url())
                assert trace.get_current_span() is mine
                await driver.close(response)
                await together(lambda: driver.get("http://127.0.0.1:1/"))
                assert trace.get_current_span() is mine
            assert trace.get_current_span() is trace.INVALID_SPAN

        run(kit, story)


@kits(colours=["asyncio", "trio"])
def test_a_response_that_is_dropped_unclosed_ends_its_span(kit):
    """Every start has one end: the next thing that happens in the pool ends it, outside the finalizer."""
    with tracing(kit) as tracer, Server() as server:

        async def story(driver):
            response = await driver.open(server.url("/dropped"))
            assert tracer.tree(whole=False).clients == []
            del response
            gc.collect()
            await driver.get(server.url("/next"))

        run(kit, story)
        assert [span.attributes["url.full"].rsplit("/", 1)[1] for span in tracer.tree().clients] == ["dropped", "next"]


@kits(flavours=["httpx"])
def test_a_request_put_back_by_its_connection_shows_what_it_went_through(kit):
    """The server closes the kept connection at once: the request connects anew, and the set-up is under it."""

    def script(peer):
        peer.request()
        peer.respond(200, b"ok")
        peer.close()
        peer.reached("closed")

    with tracing(kit) as tracer, Server(script) as server:

        async def story(driver):
            await driver.get(server.url("/1"))
            await reached(server, "closed")
            await driver.get(server.url("/2"))

        run(kit, story)
        tree = tracer.tree()
        assert [tree.shape(client) for client in tree.clients] == [{SETUP: {SOCKET: {}}}] * 2
        assert len({span.attributes[c.CONNECTION_ID] for span in tree.clients}) == 2


@kits(flavours=["httpx"], colours=["asyncio"])
def test_a_fault_in_tracing_ends_tracing_and_not_the_request(kit, caplog, monkeypatch):
    """It is logged once, by the sink's name; requests and the other sinks go on."""
    from poolscope.sinks._trace import Trace

    def broken(*args):
        raise RuntimeError("planted")

    monkeypatch.setattr(Trace, "served", broken)
    with tracing(kit) as tracer, Server() as server:

        async def story(driver):
            for _ in range(3):
                assert (await driver.get(server.url())).status_code == 200
            assert trace.get_current_span() is trace.INVALID_SPAN

        seen = run(kit, story)
        assert seen(c.ACQUISITIONS) == 3
        assert len([record for record in caplog.records if "OpenTelemetrySink" in record.getMessage()]) == 1
        assert tracer
