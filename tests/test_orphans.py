"""Orphaned slots: what the pool itself lost is counted and told, what anybody owns never is."""

import asyncio
import threading
from contextlib import contextmanager
from functools import partial
from itertools import cycle

import anyio
import anyio.lowlevel
import httpx
import pytest

from driving import cancelled_everywhere, kits, reached, together
from harness import H2Server, HttpProxy, Server, client_context, server_context, stranger_context
from poolscope import _contract as c
from poolscope import _losses
from poolscope import events as e
from sinks.everything import lose_a_slot
from sinks.everything import script as by_path
from transparency.colours import FLAVOURS
from transparency.run import observed
from transparency.scenarios import SCENARIOS
from transparency.subjects import instrumented


class Orphans:
    """A sink that keeps the ids of the slots that were told to be lost, and of those that came back."""

    def __init__(self):
        self.lost, self.back = [], []

    def attach(self, pool):
        return {
            e.SlotOrphaned: lambda event: self.lost.append(event.connection_id),
            e.SlotRecovered: lambda event: self.back.append(event.connection_id),
        }


@contextmanager
def looking(*looks):
    """Call these in a thread over and over, as a scraper would, until the block ends."""
    done = threading.Event()

    def look():
        for one in cycle(looks):
            if done.wait(0.002):
                return
            one()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@kits(colours=["asyncio", "trio", "sync"])
def test_a_tunnel_whose_tls_fails_costs_its_slot(kit, caplog):
    """On httpcore and httpcore2 (#1023): the gauge says so, a line gives the advice, and closing the pool mends it."""
    sink = Orphans()
    kit.sinks.append(sink)
    with HttpProxy() as proxy, Server(tls=server_context()) as secure:

        async def story(driver):
            for _ in range(2):
                (failed,) = await together(lambda: driver.get(secure.url()))
                assert isinstance(failed, kit.http.ConnectError)
            while kit.scrape()(c.ORPHANED) < 2:
                await anyio.lowlevel.checkpoint()
            seen = kit.scrape()
            assert (seen(c.ORPHANED), seen(c.IN_USE), seen(c.CHECKED_OUT)) == (2, 2, 0)
            assert all(not one.is_idle() and not one.is_closed() for one in driver.transport._pool.connections)
            assert len(sink.lost) == 2
            assert driver.transport.snapshot().orphaned == 2
            assert driver.transport.snapshot().at_rest

        seen = kit.run(story, limits=kit.limits(3, 3), proxy=proxy.url, verify=stranger_context())
    assert (seen(c.ORPHANED), seen(c.IN_USE)) == (0, 0)
    assert sorted(sink.back) == sorted(sink.lost)
    (line,) = [r.getMessage() for r in caplog.records if "lost a slot" in r.getMessage()]
    assert f"connecting to 127.0.0.1:{secure.port}" in line
    assert "httpcore #1093; httpx2 has that fixed" in line


@kits(flavours=["httpx"], colours=["asyncio"])
def test_a_cancel_between_the_assignment_and_the_next_step_costs_a_slot(kit):
    """httpcore #1093. It is told after a moment: who came to the pool past us would have connected by then."""
    with Server(by_path) as server:

        async def story(driver):
            await lose_a_slot(server, driver.client, driver.transport)
            begun = asyncio.get_running_loop().time()
            while not kit.scrape()(c.ORPHANED):
                await anyio.lowlevel.checkpoint()
            assert asyncio.get_running_loop().time() - begun < 10
            (slot,) = driver.transport.snapshot().lost
            assert (slot.phase, slot.method, slot.port) == ("orphaned", "", str(server.port))
            assert slot.age_seconds >= 0.25

        kit.run(story, limits=kit.limits(1, 1))


@kits(colours=["asyncio", "trio"])
def test_after_a_storm_of_cancels_the_gauge_is_the_pool_s_own_word(kit, monkeypatch):
    """As many as the pool has connections that are neither idle nor closed; none on httpcore2."""
    monkeypatch.setattr(_losses, "_SURE_SECONDS", 0.0)

    def script(peer):
        for _ in peer.requests():
            peer.wait("go")
            peer.respond(200, b"ok")

    with Server(script) as server:

        async def story(driver):
            await cancelled_everywhere(driver, server.url())
            busy = [one for one in driver.transport._pool.connections if not one.is_idle() and not one.is_closed()]
            assert kit.scrape()(c.ORPHANED) == len(busy)
            if kit.newer_core:
                assert not busy
            server.gate("go").set()

        kit.run(story, limits=kit.limits(5, 5))


def closing_often(peer):
    for count, _ in enumerate(peer.requests()):
        peer.respond(200, b"ok", [("connection", "close")] if count % 5 == 4 else [])
        if count % 5 == 4:
            return


@kits(colours=["asyncio", "sync"])
def test_no_slot_looks_lost_under_load(kit, monkeypatch):
    """Ever, in a thread that looks all the time, with no time to be sure in: 30 workers, two origins, four slots.

    httpcore 1.x's sync pool closes connections under other threads where there are several origins, bare as well
    (EBADF, requests that hang): it gets one origin, which closes nothing.
    """
    monkeypatch.setattr(_losses, "_SURE_SECONDS", 0.0)
    sink = Orphans()
    kit.sinks.append(sink)
    fragile = kit.colour == "sync" and not kit.newer_core
    with Server(None if fragile else closing_often) as one, H2Server() as other:
        urls = [one.url(), one.url() if fragile else other.url()]

        async def story(driver):
            async def worker(number):
                for count in range(6):
                    url = urls[(number + count) % 2]
                    if count % 4:
                        await driver.get(url, timeout=30)
                    else:
                        await driver.close(await driver.open(url, timeout=30))

            with looking(driver.transport.snapshot):
                await together(*[partial(worker, number) for number in range(30)])

        kit.run(story, limits=kit.limits(4, 4), http2=True, verify=client_context())
    assert sink.lost == []


@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")
@pytest.mark.parametrize("turn", [0, 1], ids=["first half", "second half"])
def test_no_false_alarm_where_transparency_is_tested(turn, monkeypatch):
    """Every scenario of that suite while a thread looks at its pools; but the one where the pool does lose a slot."""
    monkeypatch.setattr(_losses, "_SURE_SECONDS", 0.0)
    alarmed, looks = set(), []
    kinds = cycle([(flavour, colour) for colour in ("asyncio", "sync", "trio") for flavour in FLAVOURS])
    for (name, scenario), (flavour, colour) in zip(list(SCENARIOS.items())[turn::2], kinds, strict=False):
        sink, pools = Orphans(), []

        def wrap(run, transport, sink=sink, pools=pools):
            wrapped = instrumented(run)(transport, name="tests", sinks=[sink])
            pools.append(wrapped.observer)
            return wrapped

        with looking(lambda pools=pools: looks.extend(pool.snapshot() for pool in pools)):
            observed(scenario, flavour, colour, wrap)
        if sink.lost:
            alarmed.add(name)
    assert alarmed <= {"untrusted_behind_proxy"}
    assert len(looks) > 100


def test_a_request_that_came_past_the_instrumentation_owns_its_slot():
    """Whoever calls the pool itself is unknown to us, and is no reason for an alarm."""
    import httpcore

    from poolscope import InstrumentedSyncTransport

    sink = Orphans()
    transport = InstrumentedSyncTransport(name="past", sinks=[sink])
    with Server() as server:
        with looking(transport.snapshot), transport._pool.stream("GET", server.url()) as response:
            assert isinstance(response, httpcore.Response)
            for _ in range(3):
                assert transport.snapshot().orphaned == 0
            response.read()
        transport.close()
    assert sink.lost == []


@kits(colours=["asyncio", "sync"])
def test_a_websocket_without_its_response_owns_its_slot(kit):
    """The user keeps the stream and lets go of the response: the connection is his."""

    def script(peer):
        peer.request()
        peer.respond(101, headers=[("connection", "upgrade"), ("upgrade", "echo")])
        peer.echo()

    with Server(script) as server:

        async def story(driver):
            headers = {"connection": "upgrade", "upgrade": "echo"}
            response = await driver.open(server.url(), headers=headers)
            stream = response.extensions["network_stream"]
            del response
            seen = kit.scrape()
            assert (seen(c.ORPHANED), seen(c.LEAKED)) == (0, 0)
            if kit.colour == "sync":
                await anyio.to_thread.run_sync(stream.close)
            else:
                await stream.aclose()

        kit.run(story)


def test_a_slot_that_waits_for_its_request_to_run_is_not_lost(monkeypatch):
    """The event loop is busy for a second between the assignment and the request's next step, and a thread looks."""
    monkeypatch.setattr(_losses, "_SURE_SECONDS", 0.0)
    from poolscope import InstrumentedTransport

    sink = Orphans()

    async def main(server):
        transport = InstrumentedTransport(name="slow loop", sinks=[sink], limits=httpx.Limits(max_connections=2))
        async with httpx.AsyncClient(transport=transport) as client:
            asks = [asyncio.create_task(client.get(server.url())) for _ in range(2)]
            inner, looked = transport._pool.create_connection, threading.Event()

            def create(origin):
                connection = inner(origin)
                asyncio.get_running_loop().call_soon(looked.wait, 5)  # nothing runs meanwhile
                return connection

            transport._pool.create_connection = create
            with looking(lambda: (transport.snapshot(), counts.append(1), len(counts) > 20 and looked.set())):
                counts.clear()
                await asyncio.gather(*asks)
            transport._pool.create_connection = inner

    counts: list[int] = []
    with Server() as server:
        asyncio.run(main(server))
    assert sink.lost == []


@kits(flavours=["httpx"], colours=["asyncio"])
def test_an_idle_connection_that_is_given_away_is_not_lost(kit):
    """Two requests at one idle connection: the one that is put back to the queue does not look like a lost slot."""
    with Server(by_path) as server:

        async def story(driver):
            await driver.get(server.url())
            async with anyio.create_task_group() as group:
                group.start_soon(driver.get, server.url("/held"))
                await reached(server, "held")
                group.start_soon(driver.get, server.url())
                while not driver.transport.snapshot().waiting:
                    await anyio.lowlevel.checkpoint()
                assert kit.scrape()(c.ORPHANED) == 0
                server.gate("go on").set()

        kit.run(story, limits=kit.limits(1, 1))
