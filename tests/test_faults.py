"""The faults of httpcore's pool, provoked on real sockets: users must be able to see them in the metrics."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import anyio
import anyio.lowlevel
import httpx
import pytest

from driving import cancelled_everywhere, held, holding, kits, reached, together
from harness import Server
from poolscope import InstrumentedSyncTransport
from poolscope import _contract as c


@kits(colours=["asyncio", "sync"])
def test_the_keepalive_limit_throws_connections_away_on_httpcore_1(kit):
    """httpcore 1.x counts *all* connections against max_keepalive_connections: above it reuse breaks down."""
    together_now = threading.Barrier(20)

    def script(peer):
        for _ in peer.requests():
            if not kit.newer_core:
                with suppress(threading.BrokenBarrierError):  # a request that failed by itself does not come
                    together_now.wait(5)  # 20 at once in each round, however few the machine would let run
            peer.respond(200, b"ok")

    with Server(script) as server:

        async def story(driver):
            async def worker():
                for _ in range(10):
                    await together(lambda: driver.get(server.url()))

            await together(*[worker] * 20)

        seen = kit.run(story, limits=kit.limits(20, 5))
        if kit.newer_core:
            assert seen(c.OPENED) < 100
        else:
            assert seen(c.OPENED) > 100
            assert seen.reasons()[c.KEEPALIVE_LIMIT] > 80


@kits(colours=["asyncio"])
def test_requeue_churn_is_counted_on_httpcore_1(kit):
    """httpcore 1.x hands one idle connection to several requests, and all but one go back to the queue."""
    with Server() as server:

        async def story(driver):
            async def worker():
                for _ in range(5):
                    await driver.get(server.url())

            await together(*[worker] * 30)

        early = kit.run(story, limits=kit.limits(5, 5))(c.REQUEUES, stage=c.EARLY)
        assert early == 0 if kit.newer_core else early > 100


@kits(flavours=["httpx"], colours=["asyncio"])
def test_a_pool_timeout_is_no_deadline(kit):
    """The pool timeout starts anew at each re-queue: waits are longer than it, no request fails, and it shows."""
    served = threading.Semaphore(0)

    def script(peer):
        for _ in peer.requests():
            served.acquire(timeout=0.04)
            peer.respond(200, b"ok")

    with Server(script) as server:

        async def story(driver):
            timeout = kit.http.Timeout(10, pool=2.0)  # fifty answers long, so that no machine misses it between two
            outcomes = await together(*[lambda: driver.get(server.url(), timeout=timeout)] * 80)
            assert [o for o in outcomes if isinstance(o, Exception)] == []

        seen = kit.run(story, limits=kit.limits(1, 1))
        assert seen(c.TIMEOUTS) == 0
        assert seen(c.WAIT_TIME, "_count") - seen(c.WAIT_TIME, "_bucket", le="2.5") > 0


@kits()
def test_one_slow_origin_starves_the_others(kit):
    """One pool for all origins: who holds and who waits are told apart."""

    def script(peer):
        for _ in peer.requests():
            peer.reached(f"held {peer.number}")
            peer.wait("go")
            peer.respond(200, b"ok")

    with Server(script) as slow, Server() as fast:

        async def story(driver):
            async with anyio.create_task_group() as group:
                for _ in range(2):
                    group.start_soon(driver.get, slow.url())
                await reached(slow, "held 1")
                await reached(slow, "held 2")
                group.start_soon(driver.get, fast.url())
                while not kit.scrape()(c.PENDING, port=str(fast.port)):
                    await anyio.lowlevel.checkpoint()
                seen = kit.scrape()
                assert seen(c.CHECKED_OUT, port=str(slow.port)) == seen(c.IN_USE) == seen(c.MAX) == 2
                assert seen(c.PENDING, port=str(slow.port)) == 0
                slow.gate("go").set()

        kit.run(story, limits=kit.limits(2, 2))


@kits()
def test_an_unclosed_response_holds_its_slot(kit):
    """A streamed response that nobody closes holds a slot for as long as it lives, and its age shows."""
    with Server() as server:

        async def story(driver):
            response = await driver.open(server.url())
            timeout = kit.http.Timeout(10, pool=0.05)
            (outcome,) = await together(lambda: driver.get(server.url(), timeout=timeout))
            assert isinstance(outcome, kit.http.PoolTimeout)
            seen = kit.scrape()
            assert seen(c.IN_USE) == seen(c.CHECKED_OUT) == 1
            assert seen(c.OLDEST_USE_AGE) >= 0.05
            (held,) = driver.transport.snapshot().held
            assert (held.phase, held.method) == ("unread", "GET")
            await driver.close(response)
            assert kit.scrape()(c.IN_USE) == 0

        kit.run(story, limits=kit.limits(1, 1))


@kits(colours=["asyncio", "trio"])
def test_the_pool_has_the_last_word_on_cancelled_requests(kit):
    """After a storm of cancels what we say of the slots is what the pool says of its connections."""

    def script(peer):
        for _ in peer.requests():
            peer.wait("go")
            peer.respond(200, b"ok")

    with Server(script) as server:

        async def story(driver):
            await cancelled_everywhere(driver, server.url())
            pool = driver.transport._pool
            seen = kit.scrape()
            busy = [one for one in pool.connections if not one.is_idle() and not one.is_closed()]
            assert seen(c.IN_USE) == len(busy)
            assert seen(c.PENDING) == seen(c.CHECKED_OUT) == 0
            server.gate("go").set()

        kit.run(story, limits=kit.limits(5, 5))


@kits(colours=["asyncio", "sync"])
def test_the_equations_hold_in_every_scrape_under_load(kit):
    """While 20 workers succeed, time out and fail, a scraper in a thread of its own finds each scrape balanced."""

    def script(peer):
        for count, _ in enumerate(peer.requests()):
            if count % 7 == 6:
                return
            peer.respond(200, b"ok")

    scraped = []
    done = threading.Event()

    def scraper():
        while not done.is_set():
            scraped.append(kit.scrape())

    with Server(script) as server:

        async def story(driver):
            timeout = kit.http.Timeout(10, pool=0.01)

            async def worker():
                for _ in range(20):
                    await together(lambda: driver.get(server.url(), timeout=timeout))

            async with anyio.create_task_group() as group:
                group.start_soon(anyio.to_thread.run_sync, scraper)
                await together(*[worker] * 20)
                done.set()

        seen = kit.run(story, limits=kit.limits(4, 4))
        assert seen(c.CHECKOUTS) == 400
        assert len(scraped) > 5


def test_drain_waits_for_requests_whose_pool_cannot_be_seen():
    """They wait for no connection and hold none that is known, and are under way all the same."""
    entered, go_on = threading.Event(), threading.Event()

    def handler(request):
        entered.set()
        assert go_on.wait(10)
        return httpx.Response(204)

    transport = InstrumentedSyncTransport(httpx.MockTransport(handler), name="unseen", sinks=[])
    with httpx.Client(transport=transport) as client, ThreadPoolExecutor() as threads:
        answer = threads.submit(client.get, "http://shop.invalid/")
        assert entered.wait(10)
        left = transport.drain(0.02)
        assert (left.running, left.at_rest) == (1, False)
        go_on.set()
        assert transport.drain(10).at_rest
        assert answer.result().status_code == 204


@kits()
def test_drain_waits_for_those_who_hold(kit):
    """drain gives the pool at rest once the last request gave its connection back, else what is left in time."""
    with Server(held) as server:

        async def story(driver):
            async with holding(driver, server):
                left = await driver.drain(0.02)
                assert not left.at_rest
                assert len(left.held) == 1
                server.gate("go").set()
                assert (await driver.drain(10)).at_rest
            with pytest.raises(ValueError, match="timeout takes seconds"):
                await driver.drain(-1)

        kit.run(story)


@kits()
def test_a_pool_works_again_after_it_was_closed(kit):
    """A request after the close opens a new socket; the levels bear that."""
    with Server() as server:

        async def main():
            async with kit.driver() as driver:
                await driver.get(server.url())
                transport = driver.transport
            assert kit.scrape()(c.POOLS) == 0
            sync = kit.colour == "sync"
            client = (kit.http.Client if sync else kit.http.AsyncClient)(transport=transport)
            if sync:
                client.get(server.url())
            else:
                await client.get(server.url())
            seen = kit.scrape()
            assert seen(c.POOLS) == seen(c.OPEN_CONNECTIONS) == 1
            assert seen(c.POOLS_OPENED) == 1
            client.close() if sync else await client.aclose()

        anyio.run(main, backend=kit.backend)
        assert kit.scrape().reasons() == {c.POOL_CLOSED: 2}


@kits(without=[("httpx", "sync")])
def test_slots_in_use_never_exceed_the_limit(kit):
    """A slot that the pool gives to another origin is one slot, though the old connection is not closed yet.

    httpcore 1.0.9's sync pool closes connections under other threads where it evicts: bare, 534 of 15,000 requests of
    this load failed with EBADF, and one that reads from a socket which got the number again may read for ever.
    """
    over = []

    with Server() as one, Server() as other:

        async def story(driver):
            pool = driver.transport._pool
            name = "_close_connections"
            inner = getattr(pool, name)

            def look(closing):
                in_use = driver.transport.snapshot().in_use
                over.append(in_use > 2)
                return inner(closing)

            setattr(pool, name, look)

            async def worker(server):
                for _ in range(10):
                    await driver.get(server.url())

            await together(*[partial(worker, one)] * 4, *[partial(worker, other)] * 2)
            delattr(pool, name)

        seen = kit.run(story, limits=kit.limits(2, 2))
        assert seen(c.CLOSED, reason=c.EVICTED) > 0
        assert len(over) > 60
        assert not any(over)
