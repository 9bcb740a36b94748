"""Each moment of a request's dealings with the pool, as the metrics show it, on real sockets in every colour."""

import anyio
import anyio.lowlevel

from driving import held, holding, kits, reached, together
from harness import (
    H2Server,
    HttpProxy,
    Server,
    SocksProxy,
    client_context,
    refused_port,
    server_context,
    stranger_context,
)
from poolscope import _contract as c


def sources(seen):
    """Acquisitions by source: new, reused, shared."""
    return tuple(int(seen(c.ACQUISITIONS, source=source)) for source in c.SOURCES)


@kits()
def test_a_cold_request_makes_a_connection_and_a_warm_one_reuses_it(kit):
    """new, then reused; both waits are in the histogram, and one attempt to connect."""
    with Server() as server:

        async def story(driver):
            await driver.get(server.url())
            await driver.get(server.url())
            seen = kit.scrape()
            assert seen(c.OPEN_CONNECTIONS, state=c.IDLE, version="1.1", port=str(server.port)) == 1
            assert seen(c.IN_USE) == 0

        seen = kit.run(story)
        assert sources(seen) == (1, 1, 0)
        assert seen(c.WAIT_TIME, "_count") == seen(c.USE_TIME, "_count") == 2
        assert seen(c.CREATE_TIME, "_count", type="") == seen(c.OPENED) == 1
        assert seen(c.REQUEST_DURATION, "_count", status_code="200", type="", version="1.1") == 2


@kits()
def test_a_queued_request_is_seen_while_it_waits(kit):
    """One holds, one waits: both are in the levels, by the origin that waits."""

    def script(peer):
        for _ in peer.requests():
            peer.reached("held")
            peer.wait("go")
            peer.respond(200, b"ok")

    with Server(script) as server, Server() as other:

        async def story(driver):
            async with anyio.create_task_group() as group:
                group.start_soon(driver.get, server.url())
                await reached(server, "held")
                group.start_soon(driver.get, other.url())
                while not kit.scrape()(c.PENDING, port=str(other.port)):
                    await anyio.lowlevel.checkpoint()
                seen = kit.scrape()
                assert seen(c.CHECKED_OUT, port=str(server.port)) == seen(c.IN_USE) == 1
                assert seen(c.OLDEST_PENDING_AGE) > 0
                snapshot = driver.transport.snapshot()
                assert (snapshot.in_use, snapshot.waiting) == (1, 1)
                assert [held.phase for held in snapshot.held] == ["awaiting headers"]
                assert "1/1 in use" in repr(driver.transport)
                server.gate("go").set()

        seen = kit.run(story, limits=kit.limits(1, 1))
        assert sources(seen) == (2, 0, 0)
        assert seen(c.ACTIVE_REQUESTS) == seen(c.PENDING) == seen(c.CHECKED_OUT) == 0


@kits()
def test_a_pool_timeout_is_a_timeout_and_a_wait(kit):
    """The wait that ends in PoolTimeout is in the histogram, with the time that was allowed."""
    with Server(held) as server:

        async def story(driver):
            async with holding(driver, server):
                timeout = kit.http.Timeout(10, pool=0.05)
                (outcome,) = await together(lambda: driver.get(server.url(), timeout=timeout))
                assert isinstance(outcome, kit.http.PoolTimeout)

        seen = kit.run(story, limits=kit.limits(1, 1))
        assert seen(c.TIMEOUTS, cause=c.SLOW_ORIGIN) == 1
        assert seen(c.WAIT_TIME, "_sum") >= 0.05
        assert seen(c.REQUEST_DURATION, "_count", type="PoolTimeout", status_code="") == 1


@kits(colours=["asyncio", "trio"])
def test_a_cancelled_wait_is_abandoned(kit):
    """The caller went away while it waited for a connection."""
    with Server(held) as server:

        async def story(driver):
            async with holding(driver, server), anyio.create_task_group() as waiting:
                waiting.start_soon(driver.get, server.url())
                while not kit.scrape()(c.PENDING):
                    await anyio.lowlevel.checkpoint()
                waiting.cancel_scope.cancel()

        seen = kit.run(story, limits=kit.limits(1, 1))
        name = "Cancelled" if kit.colour == "trio" else "CancelledError"
        assert seen(c.ABANDONED, type=name) == 1


@kits()
def test_retries_are_attempts_to_connect(kit):
    """One request, three attempts, each a failure with its error type; the hand-over was one."""
    with refused_port() as port:

        async def story(driver):
            (outcome,) = await together(lambda: driver.get(f"http://127.0.0.1:{port}/"))
            assert isinstance(outcome, kit.http.ConnectError)
            assert driver.transport.snapshot().in_use == 0

        seen = kit.run(story, retries=1)
        assert seen(c.CREATE_TIME, "_count", type="ConnectError") == 2
        assert sources(seen) == (1, 0, 0)
        assert seen(c.OPENED) == seen(c.ESTABLISHING) == 0


@kits()
def test_a_tls_failure_is_a_failed_attempt(kit):
    """The certificate is unknown: no connection was opened, none closed."""
    with Server(tls=server_context()) as server:

        async def story(driver):
            (outcome,) = await together(lambda: driver.get(server.url()))
            assert isinstance(outcome, kit.http.ConnectError)

        seen = kit.run(story, verify=stranger_context())
        assert seen(c.CREATE_TIME, "_count", type="ConnectError") == 1
        assert seen(c.OPENED) == seen(c.IN_USE) == 0
        assert seen.reasons() == {}


@kits()
def test_tls_is_part_of_the_set_up(kit):
    """One HTTPS connection: opened once, and closed with the client."""
    with Server(tls=server_context()) as server:

        async def story(driver):
            await driver.get(server.url())

        seen = kit.run(story, verify=client_context())
        assert seen(c.OPENED) == seen(c.CREATE_TIME, "_count") == 1
        assert seen.reasons() == {c.POOL_CLOSED: 1}


@kits()
def test_a_unix_socket_is_a_connection(kit):
    """Opened, reused and closed as one over TCP."""
    with Server(uds=True) as server:

        async def story(driver):
            await driver.get(server.url())
            await driver.get(server.url())

        seen = kit.run(story, uds=server.path)
        assert sources(seen) == (1, 1, 0)
        assert seen.reasons() == {c.POOL_CLOSED: 1}


@kits()
def test_a_forward_proxy_leaves_the_origin_in_the_labels(kit):
    """The label is the origin's, never the proxy's; the connection is reused."""
    with Server() as server, HttpProxy() as proxy:

        async def story(driver):
            await driver.get(server.url())
            await driver.get(server.url())

        seen = kit.run(story, proxy=proxy.url)
        assert seen(c.OPENED, port=str(server.port)) == seen(c.OPENED) == 1
        assert sources(seen) == (1, 1, 0)


@kits()
def test_a_tunnel_is_ready_when_tls_to_the_origin_is(kit):
    """CONNECT and both handshakes are set-up: one attempt, one connection."""
    with Server(tls=server_context()) as server, HttpProxy() as proxy:

        async def story(driver):
            await driver.get(server.url())
            await driver.get(server.url())

        seen = kit.run(story, proxy=proxy.url, verify=client_context())
        assert seen(c.OPENED, port=str(server.port)) == seen(c.CREATE_TIME, "_count") == 1
        assert sources(seen) == (1, 1, 0)
        assert seen.reasons() == {c.POOL_CLOSED: 1}


@kits()
def test_a_refused_tunnel_is_a_failed_attempt(kit):
    """The proxy answered CONNECT with 502: a ProxyError, no connection opened."""

    def refuse(peer):
        peer.request()
        peer.respond(502)

    with Server(refuse) as proxy:

        async def story(driver):
            (outcome,) = await together(lambda: driver.get("https://127.0.0.1:1/"))
            assert isinstance(outcome, kit.http.ProxyError)

        seen = kit.run(story, proxy=proxy.url(""))
        assert seen(c.CREATE_TIME, "_count", type="ProxyError") == 1
        assert seen(c.OPENED) == seen(c.ESTABLISHING) == 0


@kits()
def test_a_socks_proxy_is_part_of_the_set_up(kit):
    """The SOCKS handshake is set-up, for plain and for TLS origins."""
    with Server() as plain, Server(tls=server_context()) as secure, SocksProxy() as proxy:

        async def story(driver):
            for server in (plain, secure, plain, secure):
                await driver.get(server.url())

        seen = kit.run(story, proxy=proxy.url, verify=client_context())
        assert seen(c.OPENED) == seen(c.CREATE_TIME, "_count") == 2
        assert sources(seen) == (2, 2, 0)


@kits()
def test_http2_requests_share_a_connection(kit):
    """One connection; requests that join it while it is set up, or in use, are shared."""

    def script(peer):
        requests = [peer.request() for _ in range(3)]
        for request in requests:
            peer.respond(request, 200, b"ok")
        for request in peer.requests():
            peer.respond(request, 200, b"ok")

    with H2Server(script) as server:

        async def story(driver):
            await together(*[lambda: driver.get(server.url())] * 3)
            seen = kit.scrape()
            assert seen(c.OPEN_CONNECTIONS, state=c.IDLE, version="2") == 1
            await driver.get(server.url())

        seen = kit.run(story, http2=True, verify=client_context())
        assert sources(seen) == (1, 1, 2)
        assert seen(c.OPENED) == 1
        assert seen(c.STREAM_WAIT_TIME, "_count") == 4
        assert seen(c.DURATION, "_count", version="2") == 1


@kits()
def test_the_wait_for_an_http2_stream_is_seen(kit):
    """A second queue that has no timeout: the server allows two streams, a third request waits for one of them."""

    def script(peer):
        requests = [peer.request(), peer.request()]
        peer.reached("full")
        peer.wait("go")
        for request in requests:
            peer.respond(request, 200, b"ok")
        for request in peer.requests():
            peer.respond(request, 200, b"ok")

    with H2Server(script, max_streams=2) as server:

        async def story(driver):
            async with anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(driver.get, server.url())
                await reached(server, "full")
                while len(driver.transport.snapshot().waiting_seconds) != 1:  # the third one is there
                    await anyio.lowlevel.checkpoint()
                await anyio.sleep(0.6)  # so long that no machine takes it for the wait of the other two
                server.gate("go").set()

        seen = kit.run(story, http2=True, verify=client_context())
        assert seen(c.STREAM_WAIT_TIME, "_count") == 3
        assert seen(c.STREAM_WAIT_TIME, "_bucket", le="0.5") == 2


@kits()
def test_goaway_gives_a_request_a_late_requeue(kit):
    """The server looked at no stream above the last one: the request goes back to the queue and is served anew."""

    def script(peer):
        if peer.number == 1:
            first = peer.request()
            peer.respond(first, 200, b"ok")
            peer.request()
            peer.goaway(first.stream_id)
            peer.until_closed()
        else:
            for request in peer.requests():
                peer.respond(request, 200, b"ok")

    with H2Server(script) as server:

        async def story(driver):
            await driver.get(server.url())
            await driver.get(server.url())

        seen = kit.run(story, http2=True, verify=client_context())
        assert seen(c.REQUEUES, stage=c.LATE) == 1
        assert seen(c.ACQUISITIONS) == 3
        assert seen.reasons() == {c.CONNECTION_CLOSE: 1, c.POOL_CLOSED: 1}
