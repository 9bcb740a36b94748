"""Leaks of three kinds: proved, counted once, told once a place; given back to the pool where that was asked for."""

import gc
import logging
import re
import subprocess
import sys
import time
import warnings
import weakref

import anyio
import anyio.lowlevel
import pytest

import poolscope
from driving import Kit, kits, together
from harness import Server
from observing import scrape
from poolscope import PrometheusSink
from poolscope import _contract as c

COLOURS = ["asyncio", "sync"]


async def forget(kit, driver, url, **headers):
    """Send a request and let go of its response, unread and unclosed."""
    request = driver.client.build_request("GET", url, headers=headers)
    if kit.colour == "sync":
        await anyio.to_thread.run_sync(lambda: driver.client.send(request, stream=True) and None)
    else:
        await driver.client.send(request, stream=True)
    gc.collect()


def told(caplog, words) -> list[str]:
    return [record.getMessage() for record in caplog.records if words in record.getMessage()]


def leaks(seen) -> dict[str, float]:
    """Give the leaks of a scrape by type; each type is there, at zero, too."""
    label = c.prometheus_label(c.LEAK)
    return {s.labels[label]: s.value for s in seen.samples if s.name == c.LEAKED.prometheus_name}


@kits(colours=["asyncio", "trio", "sync"])
def test_a_response_that_is_collected_unclosed_is_a_leak(kit, caplog):
    """Counted each time, told once a place; its slot is lost, and is no orphan of the pool's."""
    with Server() as server:

        async def story(driver):
            assert leaks(kit.scrape()) == dict.fromkeys(c.LEAKS, 0)
            for count in range(2):
                await driver.get(server.url())  # the next request goes plain
                await forget(kit, driver, server.url())
                assert leaks(kit.scrape()) == {**dict.fromkeys(c.LEAKS, 0), c.RESPONSE_UNCLOSED: count + 1}
            seen = kit.scrape()
            assert (seen(c.IN_USE), seen(c.CHECKED_OUT), seen(c.ORPHANED)) == (2, 0, 0)
            snapshot = driver.transport.snapshot()
            assert [slot.phase for slot in snapshot.lost] == ["abandoned"] * 2
            assert (snapshot.orphaned, snapshot.held) == (0, ())
            assert str(snapshot).endswith("0 waiting, 2 lost")

        seen = kit.run(story, limits=kit.limits(3, 3))
    (line,) = told(caplog, "was collected unclosed")
    assert f"GET 127.0.0.1:{server.port}, unread, its place is not known" in line
    assert seen(c.IN_USE) == 0


@kits(colours=["asyncio", "trio", "sync"])
def test_what_is_closed_or_upgraded_is_no_leak(kit):
    """Whole, closed early, without a body, a WebSocket whose response is gone, one that the client's close cut off."""

    def script(peer):
        for request in peer.requests():
            if request.target == "/upgrade":
                peer.respond(101, headers=[("connection", "upgrade"), ("upgrade", "echo")])
                peer.until_closed()
                return
            peer.respond(204 if request.target == "/empty" else 200, b"ok" if request.target != "/empty" else b"")

    with Server(script) as server:

        async def story(driver):
            await driver.get(server.url())
            await driver.get(server.url("/empty"))
            await driver.close(await driver.open(server.url()))
            await forget(kit, driver, server.url("/upgrade"), connection="upgrade", upgrade="echo")
            response = await driver.open(server.url())
            await driver.close_client()
            del response
            gc.collect()
            await anyio.lowlevel.checkpoint()

        seen = kit.run(story)
    assert leaks(seen) == dict.fromkeys(c.LEAKS, 0)
    assert seen(c.ORPHANED) == 0


@kits(colours=COLOURS)
def test_a_leak_names_the_place_that_made_the_response(kit, caplog):
    """With call sites noted: the line of this file, once for each line."""
    with Server() as server:

        async def story(driver):
            for _ in range(2):
                await forget(kit, driver, server.url())
                kit.scrape()

        kit.run(story, call_sites=True)
    (line,) = told(caplog, "was collected unclosed")
    assert f"{__file__}:" in line
    assert "thread '" in line if kit.colour == "sync" else "task '" in line


@kits(colours=["asyncio", "trio", "sync"])
def test_reclaim_gives_the_slot_of_a_leak_back(kit):
    """The next request that enters closes the response: a pool of one slot serves again, and again."""
    with Server() as server:

        async def story(driver):
            for _ in range(3):
                await forget(kit, driver, server.url())
                assert (await driver.get(server.url())).status_code == 200
            snapshot = driver.transport.snapshot()
            assert (snapshot.in_use, snapshot.idle, snapshot.lost) == (0, 1, ())

        seen = kit.run(story, limits=kit.limits(1, 1), reclaim=True)
    assert leaks(seen)[c.RESPONSE_UNCLOSED] == 3
    assert seen.reasons() == {c.RESPONSE_UNREAD: 3, c.POOL_CLOSED: 1}
    assert seen(c.TIMEOUTS) == 0


@kits(colours=COLOURS)
@pytest.mark.parametrize("closed", [False, True])
def test_reclaim_keeps_no_pool_that_nobody_can_use_any_more(kit, closed):
    """Where the last thing that a client did was to drop a response: pool and socket go with the client."""
    with Server() as server:

        async def main():
            transport = kit.transport_class(name="pool", sinks=[PrometheusSink(kit.registry)], reclaim=True)
            driver = kit.driver_of(kit.client_class(transport=transport), transport)
            await forget(kit, driver, server.url())
            if closed:
                await driver.close_client()
            return weakref.ref(transport._pool)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            pool = anyio.run(main, backend=kit.backend)
            gc.collect()
        assert pool() is None
        assert server.settle()
    assert kit.scrape()(c.OPEN_CONNECTIONS) == 0


@kits(colours=COLOURS)
def test_without_reclaim_the_slot_stays_lost(kit):
    """As it does in a bare pool: nothing is changed unless it was asked for."""
    with Server() as server:

        async def story(driver):
            await forget(kit, driver, server.url())
            timeout = kit.http.Timeout(10, pool=0.05)
            for _ in range(2):
                (outcome,) = await together(lambda: driver.get(server.url(), timeout=timeout))
                assert isinstance(outcome, kit.http.PoolTimeout)

        assert kit.run(story, limits=kit.limits(1, 1))(c.TIMEOUTS, cause=c.LEAKED_SLOTS) == 2


@kits(colours=COLOURS)
def test_a_response_that_cannot_be_closed_costs_nobody_a_request(kit, caplog, monkeypatch):
    """The close of another's response fails: told once as a fault of ours, and the request goes on."""
    with Server() as server:

        async def story(driver):
            def entered(observer):
                raise ZeroDivisionError

            await forget(kit, driver, server.url())
            monkeypatch.setattr(type(driver.transport.observer.diagnosis), "unclosed", entered)
            for _ in range(2):
                assert (await driver.get(server.url())).status_code == 200

        kit.run(story, reclaim=True)
    assert len(told(caplog, "fault in the observer")) == 1


@kits(colours=["asyncio"])
def test_who_is_cancelled_while_it_reclaims_has_not_entered(kit, monkeypatch):
    """A request that closes another's response and is cancelled there was never counted: the equations hold."""
    with Server() as server:

        async def story(driver):
            stream = kit.http._transports.default.AsyncResponseStream
            close = stream.aclose

            async def closed_slowly(self):
                await close(self)
                scope.cancel()
                await anyio.lowlevel.checkpoint()

            await forget(kit, driver, server.url())
            with monkeypatch.context() as patch, anyio.CancelScope() as scope:
                patch.setattr(stream, "aclose", closed_slowly)
                await driver.get(server.url())
            assert scope.cancelled_caught
            assert (await driver.get(server.url())).status_code == 200

        seen = kit.run(story, limits=kit.limits(1, 1), reclaim=True)
    assert (seen(c.CHECKOUTS), seen(c.ABANDONED), seen(c.LEAKED, type=c.RESPONSE_UNCLOSED)) == (2, 0, 1)


@kits(colours=["asyncio", "trio", "sync"])
def test_a_hold_that_is_too_long_is_told_and_so_is_its_end(kit, caplog):
    """Counted once, however often somebody looks; with how long it was held when it is given back."""
    with Server() as server:

        async def story(driver):
            begun = time.monotonic()
            response = await driver.open(server.url())
            assert not leaks(kit.scrape())[c.HELD_TOO_LONG] or time.monotonic() - begun >= 0.3
            while not leaks(kit.scrape())[c.HELD_TOO_LONG]:
                await anyio.lowlevel.checkpoint()
            kit.scrape()
            await driver.read(response)
            assert leaks(kit.scrape()) == {**dict.fromkeys(c.LEAKS, 0), c.HELD_TOO_LONG: 1}

        kit.run(story, held_too_long_seconds=0.3)
    (late,) = told(caplog, "response is held for too long")
    (back,) = told(caplog, "connection was given back")
    for line, phase in ((late, "unread"), (back, "streaming")):
        words = re.search(r"after (\d+\.\d) s: GET 127\.0\.0\.1:(\d+), (\w+)", line)
        assert float(words[1]) >= 0.3
        assert (int(words[2]), words[3]) == (server.port, phase)


@kits(colours=COLOURS)
def test_by_default_no_hold_is_too_long(kit, caplog):
    with Server() as server:

        async def story(driver):
            response = await driver.open(server.url())
            driver.transport.observer.pool.losses._look_at_holds(driver.transport.observer.pool.checkouts, 1e9)
            await driver.close(response)

        assert leaks(kit.run(story))[c.HELD_TOO_LONG] == 0
    assert told(caplog, "too long") == []


@kits(colours=["asyncio", "trio", "sync"])
@pytest.mark.parametrize("in_place", [False, True], ids=["made", "instrumented"])
def test_a_client_that_is_collected_with_open_connections_is_a_leak(kit, in_place, caplog):
    """Whether it was made with our transport or instrumented in place; with Python's own kind of warning."""
    sync = kit.colour == "sync"
    client_class = kit.http.Client if sync else kit.http.AsyncClient
    transport_class = kit.ours.InstrumentedSyncTransport if sync else kit.ours.InstrumentedTransport
    sinks = [PrometheusSink(kit.registry)]

    def made():
        if in_place:
            return poolscope.instrument(client_class(), name="lost", sinks=sinks)
        return client_class(transport=transport_class(name="lost", sinks=sinks))

    async def main():
        client = made()
        client.get(server.url()) if sync else await client.get(server.url())
        del client
        gc.collect()

    with Server() as server, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        anyio.run(main, backend="asyncio" if sync else kit.colour)
        seen = scrape(kit.registry)
        gc.collect()
    ours = [str(one.message) for one in caught if "client of pool" in str(one.message)]
    assert ours == ["the client of pool 'lost' was collected unclosed, with 1 open connections"]
    assert {one.category for one in caught if "client of pool" in str(one.message)} == {ResourceWarning}
    assert leaks(seen) == {**dict.fromkeys(c.LEAKS, 0), c.POOL_UNCLOSED: 1}
    assert len(told(caplog, "the client of pool 'lost' was collected unclosed, with 1 open connections")) == 1


STRICT = """
import gc, httpx
from poolscope import InstrumentedSyncTransport
client = httpx.Client(transport=InstrumentedSyncTransport(name="lost", sinks=[]))
client.get({url!r})
del client
gc.collect()
print("went on")
"""


def test_warnings_as_errors_reach_nobody():
    """A finalizer's exception is reported as ignored; the program goes on."""
    with Server() as server:
        command = [sys.executable, "-W", "error::ResourceWarning", "-c", STRICT.format(url=server.url())]
        done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=True)
    assert done.stdout == "went on\n"
    assert "Exception ignored in: <function _Connection.__del__" in done.stderr
    assert "the client of pool 'lost' was collected unclosed" in done.stderr


@pytest.mark.parametrize("ending", ["closed", "unused", "uninstrumented"])
def test_a_client_that_leaves_nothing_open_is_no_leak(ending):
    """Closed, never used, or with the transport's wrapper gone and the client alive."""
    kit = Kit("httpx", "sync")
    with Server() as server, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        client = poolscope.instrument(kit.http.Client(), name="kept", sinks=[PrometheusSink(kit.registry)])
        if ending != "unused":
            client.get(server.url())
        if ending == "uninstrumented":
            poolscope.uninstrument(client)
            gc.collect()
            assert leaks(scrape(kit.registry))[c.POOL_UNCLOSED] == 0
        if ending != "unused":
            client.close()
        del client
        gc.collect()
    assert [str(one.message) for one in caught if "client of pool" in str(one.message)] == []
    assert leaks(scrape(kit.registry)) == dict.fromkeys(c.LEAKS, 0)


@kits(flavours=["httpx"], colours=["asyncio"])
def test_ten_thousand_places_are_not_all_remembered(kit, caplog):
    """Of the places after the thousandth nothing is told, and all leaks are counted."""
    from poolscope._records import Checkout
    from poolscope.diagnosis._losses_log import LossesLog
    from poolscope.events import Leaked

    log = LossesLog()
    handler = log.attach(None)[Leaked]
    with caplog.at_level(logging.WARNING, "poolscope"):
        for number in range(10_000):
            checkout = Checkout.__new__(Checkout)
            checkout.method, checkout.place = "GET", f"file.py:{number}"
            handler(Leaked("p", "a", "80", 0.0, c.RESPONSE_UNCLOSED, 1, 0.0, "unread", checkout))
    assert len(told(caplog, "collected unclosed")) == len(log._told._seen) == 1000


@kits(flavours=["httpx"], colours=["asyncio"])
def test_over_http2_a_leak_is_a_stream(kit):
    """The connection serves others meanwhile; it is abandoned once nobody else has it."""
    from harness import H2Server, client_context

    with H2Server() as server:

        async def story(driver):
            await driver.get(server.url())
            await forget(kit, driver, server.url())
            assert leaks(kit.scrape())[c.RESPONSE_UNCLOSED] == 1
            assert (await driver.get(server.url())).status_code == 200
            assert [slot.phase for slot in driver.transport.snapshot().lost] == ["abandoned"]

        assert kit.run(story, http2=True, verify=client_context(), limits=kit.limits(1, 1))(c.ORPHANED) == 0
