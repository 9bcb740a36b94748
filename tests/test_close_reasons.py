"""Why connections close: one real connection for each reason, on httpcore and httpcore2, in every colour."""

import gc

import anyio
import anyio.lowlevel
import pytest

from driving import kits, reached, together
from harness import Server
from poolscope import _contract as c


@kits()
def test_a_closed_client_closes_its_idle_connections(kit):
    """pool_closed: an idle connection at the client's close."""
    with Server() as server:

        async def story(driver):
            await driver.get(server.url())

        assert kit.run(story).reasons() == {c.POOL_CLOSED: 1}


@kits()
def test_a_closed_client_closes_connections_in_flight(kit):
    """pool_closed: also a connection whose request still waits for its response."""

    def script(peer):
        peer.request()
        peer.reached("asked")
        peer.until_closed()

    with Server(script) as server:

        async def story(driver):
            async with anyio.create_task_group() as group:
                group.start_soon(together, lambda: driver.get(server.url()))
                await reached(server, "asked")
                if kit.colour == "sync":
                    server.gate("never").set()
                    for thread_peer in server._peers:
                        thread_peer.sock.shutdown(2)
                else:
                    await driver.close_client()

        seen = kit.run(story)
        expected = c.FAILED if kit.colour == "sync" else c.POOL_CLOSED
        assert seen.reasons() == {expected: 1}


@kits()
def test_a_server_that_closes_an_idle_connection_is_named(kit):
    """server_disconnected: FIN while idle, noticed when the next request looks."""

    def script(peer):
        if peer.number == 1:
            peer.request()
            peer.respond(200, b"ok")
            peer.wait("idle")
        else:
            for _ in peer.requests():
                peer.respond(200, b"ok")

    with Server(script) as server:

        async def story(driver):
            await driver.get(server.url())
            server.gate("idle").set()
            await anyio.to_thread.run_sync(server._threads[0].join)
            await driver.get(server.url())

        assert kit.run(story).reasons() == {c.SERVER_DISCONNECTED: 1, c.POOL_CLOSED: 1}


@kits()
def test_an_expired_connection_is_named(kit):
    """keepalive_expired: idle for longer than keepalive_expiry, noticed when the next request looks."""
    with Server() as server:

        async def story(driver):
            await driver.get(server.url())
            driver.transport._pool._keepalive_expiry = 60.0  # the next connection's: it must not expire at once
            await anyio.sleep(0.05)
            await driver.get(server.url())

        seen = kit.run(story, limits=kit.limits(expiry=0.01))
        assert seen.reasons() == {c.KEEPALIVE_EXPIRED: 1, c.POOL_CLOSED: 1}


@kits()
def test_a_connection_over_the_keepalive_limit_is_named(kit):
    """keepalive_limit: more connections than may be kept idle."""

    def script(peer):
        for _ in peer.requests():
            peer.reached(f"asked {peer.number}")
            peer.wait("go")
            peer.respond(200, b"ok")

    with Server(script) as server:

        async def story(driver):
            async with anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(driver.get, server.url())
                for number in (1, 2, 3):
                    await reached(server, f"asked {number}")
                server.gate("go").set()

        seen = kit.run(story, limits=kit.limits(10, 1))
        assert seen.reasons() == {c.KEEPALIVE_LIMIT: 2, c.POOL_CLOSED: 1}


@kits()
def test_an_idle_connection_that_makes_room_is_named(kit):
    """evicted: the pool is full, another origin wants a connection, and keep-alive is not below the maximum."""
    with Server() as one, Server() as other:

        async def story(driver):
            await driver.get(one.url())
            await driver.get(other.url())

        assert kit.run(story, limits=kit.limits(1, 1)).reasons() == {c.EVICTED: 1, c.POOL_CLOSED: 1}


@kits(flavours=["httpx2"])
def test_an_evicted_connection_is_told_from_a_surplus_one(kit):
    """evicted: on httpcore2 also where fewer may be kept idle than there may be connections."""

    def hold(peer):
        for _ in peer.requests():
            peer.reached("held")
            peer.wait("go")
            peer.respond(200, b"ok")

    with Server() as idle, Server(hold) as busy, Server() as other:

        async def story(driver):
            async with anyio.create_task_group() as group:
                await driver.get(idle.url())
                group.start_soon(driver.get, busy.url())
                await reached(busy, "held")
                await driver.get(other.url())
                busy.gate("go").set()

        seen = kit.run(story, limits=kit.limits(2, 1))
        assert seen(c.CLOSED, reason=c.EVICTED, port=str(idle.port)) == 1


@kits()
def test_an_upgraded_connection_is_named(kit):
    """upgraded: a 101 was answered; its body is never read, and that is no fault."""

    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n")
        peer.echo()

    with Server(script) as server:

        async def story(driver):
            headers = {"connection": "upgrade", "upgrade": "echo"}
            response = await driver.open(server.url(), headers=headers)
            stream = response.extensions["network_stream"]
            if kit.colour == "sync":
                stream.write(b"hello")
                assert stream.read(5) == b"hello"
            else:
                await stream.write(b"hello")
                assert await stream.read(5) == b"hello"
            await driver.close(response)

        assert kit.run(story).reasons() == {c.UPGRADED: 1}


@kits()
def test_a_connection_that_a_failure_ends_is_named(kit):
    """error: the server went away in the middle of the body."""

    def script(peer):
        peer.request()
        peer.respond_head()
        peer.chunk(b"half")

    with Server(script) as server:

        async def story(driver):
            (outcome,) = await together(lambda: driver.get(server.url()))
            assert isinstance(outcome, kit.http.RemoteProtocolError)

        seen = kit.run(story)
        assert seen.reasons() == {c.FAILED: 1}
        assert seen(c.REQUEST_DURATION, "_count", type="RemoteProtocolError") == 1


@kits()
def test_a_connection_that_a_read_timeout_ends_is_named(kit):
    """error: no response came in time."""

    def script(peer):
        peer.request()
        peer.until_closed()

    with Server(script) as server:

        async def story(driver):
            timeout = kit.http.Timeout(10, read=0.05)
            (outcome,) = await together(lambda: driver.get(server.url(), timeout=timeout))
            assert isinstance(outcome, kit.http.ReadTimeout)

        seen = kit.run(story)
        assert seen.reasons() == {c.FAILED: 1}
        assert seen(c.REQUEST_DURATION, "_count", type="ReadTimeout") == 1


@kits(colours=["asyncio", "trio"])
def test_a_connection_that_a_cancel_ends_is_named(kit):
    """cancelled: the caller went away while the response was awaited."""

    def script(peer):
        peer.request()
        peer.reached("asked")
        peer.until_closed()

    with Server(script) as server:

        async def story(driver):
            async with anyio.create_task_group() as group:
                group.start_soon(driver.get, server.url())
                await reached(server, "asked")
                group.cancel_scope.cancel()

        assert kit.run(story).reasons() == {c.CANCELLED: 1}


@kits()
def test_a_connection_that_the_server_ends_after_a_response_is_named(kit):
    """connection_close: read to the end, and the response said that it is the last one."""

    def script(peer):
        peer.request()
        peer.respond(200, b"ok", [("connection", "close")])

    with Server(script) as server:

        async def story(driver):
            await driver.get(server.url())

        assert kit.run(story).reasons() == {c.CONNECTION_CLOSE: 1}


@kits()
def test_a_response_of_http_1_0_ends_its_connection(kit):
    """connection_close: HTTP/1.0."""

    def script(peer):
        peer.request()
        peer.respond(200, b"ok", version="1.0")

    with Server(script) as server:

        async def story(driver):
            await driver.get(server.url())

        assert kit.run(story).reasons() == {c.CONNECTION_CLOSE: 1}


@kits()
@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("reused", [False, True])
@pytest.mark.parametrize("how", ["at once", "by its iterator", "by its last reference"])
def test_a_response_closed_before_its_end_is_named(kit, reused, how):
    """response_unread: a response was closed before its body had ended, whoever closed what of it first."""

    def script(peer):
        for _ in range(reused):
            peer.request()
            peer.respond(200, b"ok")
        peer.request()
        peer.respond_head()
        peer.chunk(b"half")
        peer.until_closed()

    async def read_half(response):
        if kit.colour == "sync":
            iterator = response.iter_raw()
            assert next(iterator) == b"half"
            if how == "by its iterator":
                iterator.close()
        else:
            iterator = response.aiter_raw()
            assert await anext(iterator) == b"half"
            if how == "by its iterator":
                await iterator.aclose()
        del iterator
        await anyio.lowlevel.checkpoint()  # what closes it may be a task by now

    with Server(script) as server:

        async def story(driver):
            for _ in range(reused):
                await driver.get(server.url())
            response = await driver.open(server.url())
            if how != "at once":
                await read_half(response)
            await driver.close(response)

        assert kit.run(story).reasons() == {c.RESPONSE_UNREAD: 1}


@kits()
def test_a_connection_that_nobody_closed_is_named(kit):
    """dropped: the client was collected with an open connection, and nobody had closed it."""
    with Server() as server:

        async def main():
            async with kit.driver() as driver:
                await driver.get(server.url())
                pool = driver.transport._pool
                pool._connections.clear()
                del pool
                gc.collect()

        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            anyio.run(main, backend=kit.backend)
            gc.collect()
        assert kit.scrape().reasons() == {c.DROPPED: 1}
