"""The spans of real requests, as a real receiver got them over OTLP: what hangs where, for how long, saying what."""

import anyio
import anyio.lowlevel
import pytest

from driving import kits, reached, together
from harness import H2Server, HttpProxy, Server, SocksProxy, client_context, refused_port, server_context
from poolscope import _contract as c
from spanning import SETUP, SOCKET, TLS, WAIT, run, tracing


def held(peer):
    """Answer each request once the test says so."""
    for _ in peer.requests():
        peer.reached("held")
        peer.wait("go")
        peer.respond(200, b"ok")


async def waiting(kit, *, seconds=0.002):
    """Wait until the oldest waiting request has waited this long."""
    while kit.scrape()(c.OLDEST_PENDING_AGE) < seconds:
        await anyio.lowlevel.checkpoint()


@kits()
def test_a_cold_request_shows_its_set_up_and_a_warm_one_nothing(kit):
    """One client span each; TCP under the set-up under the first; no wait, because none queued."""
    with tracing(kit) as tracer, Server() as server:

        async def story(driver):
            with tracer.span():
                await driver.get(server.url("/a?b=c"))
                await driver.get(server.url())

        run(kit, story)
        tree = tracer.tree()
        cold, warm = tree.clients
        assert tree.shape(tree.one("test")) == {"GET": {}}  # of two children of one name, the last
        assert tree.shape(cold) == {SETUP: {SOCKET: {}}}
        assert tree.shape(warm) == {}
        where = f"127.0.0.1:{server.port}"
        assert {span.name for span in tree.spans} == {"test", "GET", f"{SETUP} {where}", f"{SOCKET} {where}"}
        assert [span.attributes[c.SOURCE] for span in tree.clients] == ["new", "reused"]
        assert cold.attributes[c.CONNECTION_ID] == warm.attributes[c.CONNECTION_ID]
        assert {tree.parent(span).name for span in tree.clients} == {"test"}


@kits()
def test_the_client_span_says_what_the_conventions_ask(kit):
    """Every stable attribute, and what the pool adds."""
    with tracing(kit) as tracer, Server() as server:

        async def story(driver):
            await driver.get(server.url("/a?b=c#d"))

        run(kit, story)
        attributes = tracer.tree().clients[0].attributes
        assert attributes.pop(c.CONNECTION_ID) > 0
        assert 0 <= attributes.pop(c.WAIT_SECONDS) < 5
        assert attributes == {
            "http.request.method": "GET",
            "http.response.status_code": 200,
            "url.full": f"http://127.0.0.1:{server.port}/a?b=c#d",
            "server.address": "127.0.0.1",
            "server.port": server.port,
            "network.protocol.version": "1.1",
            "network.peer.address": "127.0.0.1",
            "network.peer.port": server.port,
            c.POOL: "pool",
            c.SOURCE: "new",
        }


@kits()
def test_a_tls_handshake_is_a_span_after_the_sockets(kit):
    """Under the set-up, in order, with what was agreed on."""
    with tracing(kit) as tracer, Server(tls=server_context()) as server:

        async def story(driver):
            await driver.get(server.url(host="localhost"))

        run(kit, story, verify=client_context())
        tree = tracer.tree()
        assert tree.shape(tree.clients[0]) == {SETUP: {SOCKET: {}, TLS: {}}}
        socket, tls = tree.children(tree.one(SETUP))
        assert socket.end <= tls.start
        assert tls.name == f"{TLS} localhost"
        assert tls.attributes["tls.protocol.version"] == "1.3"


@kits()
def test_a_queued_request_shows_its_wait(kit):
    """The wait is under the one that waited, as long as the metric says; the one that held shows none."""
    with tracing(kit) as tracer, Server(held) as server:

        async def story(driver):
            async with anyio.create_task_group() as group:
                group.start_soon(driver.get, server.url("/first"))
                await reached(server, "held")
                group.start_soon(driver.get, server.url("/second"))
                await waiting(kit)
                server.gate("go").set()

        seen = run(kit, story, limits=kit.limits(1, 1))
        tree = tracer.tree()
        wait = tree.one(WAIT)
        assert tree.parent(wait).attributes["url.full"].endswith("/second")
        seconds = (wait.end - wait.start) / 1e9
        assert 0.002 <= seconds <= seen(c.WAIT_TIME, "_sum")
        assert seconds <= tree.parent(wait).attributes[c.WAIT_SECONDS]
        assert wait.attributes == {c.POOL: "pool", c.ADDRESS: "127.0.0.1", c.PORT: server.port}


@kits()
def test_a_pool_timeout_fails_the_wait_and_the_client_span(kit):
    """Both carry error.type; the failure that says nothing by itself is recorded."""
    with tracing(kit) as tracer, Server(held) as server:

        async def story(driver):
            async with anyio.create_task_group() as group:
                group.start_soon(driver.get, server.url("/first"))
                await reached(server, "held")
                timeout = kit.http.Timeout(10, pool=0.01)
                (outcome,) = await together(lambda: driver.get(server.url("/second"), timeout=timeout))
                assert isinstance(outcome, kit.http.PoolTimeout)
                server.gate("go").set()

        run(kit, story, limits=kit.limits(1, 1))
        tree = tracer.tree()
        wait = tree.one(WAIT)
        client = tree.parent(wait)
        for span in (wait, client):
            assert span.error
            assert span.attributes["error.type"] == "PoolTimeout"
        assert [name for name, *_ in client.events] == [c.VERDICT_EVENT, "exception"]
        assert c.CONNECTION_ID not in client.attributes
        assert wait.end - wait.start >= 10_000_000


@kits(colours=["asyncio", "trio"])
@pytest.mark.parametrize("when", ["waiting", "requesting"])
def test_a_cancelled_request_ends_its_spans(kit, when):
    """Cancelled in the queue or on the wire: the client span is there, with the cancellation as its error."""
    with tracing(kit) as tracer, Server(held) as server:

        async def story(driver):
            async with anyio.create_task_group() as group:
                group.start_soon(driver.get, server.url("/first"))
                await reached(server, "held")
                if when == "waiting":
                    group.start_soon(driver.get, server.url("/second"))
                    await waiting(kit)
                group.cancel_scope.cancel()

        run(kit, story, limits=kit.limits(1, 1))
        name = "Cancelled" if kit.colour == "trio" else "CancelledError"
        tree = tracer.tree()
        assert len(tree.clients) == (2 if when == "waiting" else 1)
        assert {(span.error, span.attributes["error.type"]) for span in tree.clients} == {(True, name)}
        waits = tree.named(WAIT)
        assert [span.attributes["error.type"] for span in waits] == ([name] if when == "waiting" else [])


@kits()
def test_a_connection_that_is_refused_fails_its_set_up(kit):
    """Each attempt of one request is a set-up that failed, its socket with it."""
    with tracing(kit) as tracer, refused_port() as port:

        async def story(driver):
            (outcome,) = await together(lambda: driver.get(f"http://127.0.0.1:{port}/"))
            assert isinstance(outcome, kit.http.ConnectError)

        run(kit, story, retries=1)
        tree = tracer.tree()
        first, second = tree.named(SETUP)
        for setup in (first, second):
            (socket,) = tree.children(setup)
            assert setup.error
            assert socket.error
            assert setup.attributes["error.type"] == socket.attributes["error.type"] == "ConnectError"
            assert tree.parent(setup) is tree.clients[0]
        assert first.end <= second.start
        assert tree.clients[0].attributes["error.type"] == "ConnectError"


@kits()
def test_a_failed_handshake_is_where_the_set_up_failed(kit):
    """The socket was fine, TLS was not."""
    with tracing(kit) as tracer, Server(tls=server_context("elsewhere")) as server:

        async def story(driver):
            (outcome,) = await together(lambda: driver.get(server.url()))
            assert isinstance(outcome, kit.http.ConnectError)

        run(kit, story, verify=client_context())
        tree = tracer.tree()
        errors = {span.short: span.error for span in tree.spans if span.kind == "INTERNAL"}
        assert errors == {SETUP: True, SOCKET: False, TLS: True}


@kits(colours=["asyncio", "trio"])
def test_http2_requests_that_join_link_to_the_set_up(kit):
    """One connection: its set-up is under the one that made it; those that joined meanwhile link to it."""
    with tracing(kit) as tracer, H2Server() as server:

        async def story(driver):
            await together(*[lambda: driver.get(server.url())] * 3)
            await driver.get(server.url("/later"))

        run(kit, story, http2=True, verify=client_context())
        tree = tracer.tree()
        setup = tree.one(SETUP)
        sources = {span.attributes[c.SOURCE]: span.links for span in tree.clients}
        assert tree.parent(setup).attributes[c.SOURCE] == "new"
        assert sources == {"new": [], "shared": [setup.key], "reused": []}
        assert sum(span.links == [setup.key] for span in tree.clients) == 2
        assert tree.named(WAIT) == []
        assert {span.attributes["network.protocol.version"] for span in tree.clients} == {"2"}


@kits(colours=["asyncio", "trio"])
def test_http2_requests_that_share_an_open_connection_link_to_nothing(kit):
    """They waited for no set-up."""

    def script(peer):
        peer.respond(peer.request(), 200, b"ok")
        held = peer.request()
        peer.reached("held")
        peer.respond(peer.request(), 200, b"ok")
        peer.respond(held, 200, b"ok")
        peer.request()

    with tracing(kit) as tracer, H2Server(script) as server:

        async def story(driver):
            await driver.get(server.url("/first"))
            async with anyio.create_task_group() as group:
                group.start_soon(driver.get, server.url("/held"))
                await reached(server, "held")
                await driver.get(server.url("/shared"))

        run(kit, story, http2=True, verify=client_context())
        shared = tracer.tree().clients[-1]
        assert (shared.attributes[c.SOURCE], shared.links) == ("shared", [])


@kits()
def test_a_tunnel_that_the_proxy_refuses_fails_the_set_up_and_not_its_socket(kit):
    """The socket was connected; what failed came after it, and before TLS."""

    def refuse(peer):
        peer.request()
        peer.reached("asked")
        peer.wait("go")
        peer.respond(403)

    with tracing(kit) as tracer, Server(refuse) as proxy:

        async def story(driver):
            async with anyio.create_task_group() as group:
                group.start_soon(together, lambda: driver.get("https://127.0.0.1:1/"))
                await reached(proxy, "asked")
                proxy.gate("go").set()

        run(kit, story, proxy=proxy.url())
        tree = tracer.tree()
        setup, socket = tree.one(SETUP), tree.one(SOCKET)
        assert (setup.error, setup.attributes["error.type"]) == (True, "ProxyError")
        assert not socket.error
        assert socket.end < setup.end
        assert tree.named(TLS) == []


@kits()
@pytest.mark.parametrize("way", ["forward", "tunnel", "socks"])
def test_a_proxied_request_names_the_origin_and_whom_it_connected_to(kit, way):
    """The set-up is the origin's, the socket goes to the proxy, and only a tunnel has TLS in it."""
    tls = server_context() if way == "tunnel" else None
    with tracing(kit) as tracer, Server(tls=tls) as server, (SocksProxy if way == "socks" else HttpProxy)() as proxy:

        async def story(driver):
            await driver.get(server.url())

        run(kit, story, proxy=proxy.url, verify=client_context())
        tree = tracer.tree()
        assert tree.shape(tree.clients[0]) == {SETUP: {SOCKET: {}, **({TLS: {}} if tls else {})}}
        assert tree.one(SETUP).name == f"{SETUP} 127.0.0.1:{server.port}"
        assert tree.one(SOCKET).name == f"{SOCKET} 127.0.0.1:{proxy.port}"
        assert tree.clients[0].attributes["network.peer.port"] == proxy.port


@kits()
def test_each_hop_of_a_redirect_is_a_client_span_that_counts(kit):
    """The second one says that it is the first resending; the same request sent anew by the user counts, too."""

    def script(peer):
        for request in peer.requests():
            if request.target == "/old":
                peer.respond(302, b"", [("location", "/new")])
            else:
                peer.respond(200, b"ok")

    with tracing(kit) as tracer, Server(script) as server:

        async def story(driver):
            with tracer.span():
                await driver.get(server.url("/old"), follow_redirects=True)
                await driver.get(server.url("/other"))
                timeouts = {"timeout": {"connect": 5, "read": 5, "write": 5, "pool": 5}}
                for path in ("/one", "/two"):  # two requests, although their timeouts are one object
                    await driver.get(server.url(path), extensions=timeouts)

        run(kit, story)
        tree = tracer.tree()
        urls = [span.attributes["url.full"].rsplit("/")[-1] for span in tree.clients]
        counts = [span.attributes.get("http.request.resend_count") for span in tree.clients]
        assert list(zip(urls, counts, strict=True)) == [
            ("old", None),
            ("new", 1),
            ("other", None),
            ("one", None),
            ("two", None),
        ]
        carried = [request.headers["traceparent"].split("-")[2] for request in server.requests]
        assert carried == [span.span_id.hex() for span in tree.clients]


@kits()
@pytest.mark.parametrize("ends", ["body", "headers"])
def test_the_client_span_ends_with_the_body_or_at_the_headers(kit, ends):
    """As the option says; an unread stream's span ends when it is closed."""

    def script(peer):
        peer.request()
        peer.respond_head(200, parts=[b"first"])
        peer.wait("go")
        peer.chunk(b"last", b"")

    with tracing(kit, client_span_ends=ends) as tracer, Server(script) as server:

        async def story(driver):
            response = await driver.open(server.url())
            assert len(tracer.tree(whole=False).clients) == (ends == "headers")
            server.gate("go").set()
            await driver.read(response)
            await driver.close(response)
            assert len(tracer.tree().clients) == 1

        run(kit, story)


@kits(flavours=["httpx"], colours=["asyncio", "sync"])
@pytest.mark.parametrize(("status", "error"), [(204, None), (302, None), (404, "404"), (503, "503")])
def test_an_error_status_is_an_error_of_the_client(kit, status, error):
    """From 400 on, with the status as its type."""
    with tracing(kit) as tracer, Server(lambda peer: [peer.respond(status) for _ in peer.requests()]) as server:

        async def story(driver):
            await driver.get(server.url())

        run(kit, story)
        (client,) = tracer.tree().clients
        assert (client.error, client.attributes.get("error.type")) == (error is not None, error)


@kits(flavours=["httpx"], colours=["asyncio", "sync"])
def test_events_stand_in_for_spans(kit):
    """On the client span, at the time the span would have started, with how long it would have lasted."""
    with tracing(kit, spans="events") as tracer, Server(held) as server:

        async def story(driver):
            async with anyio.create_task_group() as group:
                group.start_soon(driver.get, server.url("/first"))
                await reached(server, "held")
                group.start_soon(driver.get, server.url("/second"))
                await waiting(kit)
                server.gate("go").set()

        run(kit, story, limits=kit.limits(1, 1))
        tree = tracer.tree()
        first, second = tree.clients
        assert len(tree.spans) == 2
        assert [name.rsplit(" ", 1)[0] for name, *_ in first.events] == [SETUP, SOCKET]
        ((name, attributes, at),) = second.events
        assert name.startswith(WAIT)
        assert attributes[c.ELAPSED_SECONDS] >= 0.002
        assert second.start <= at <= at + attributes[c.ELAPSED_SECONDS] * 1e9 <= second.end


@kits(flavours=["httpx"], colours=["asyncio", "sync"])
def test_off_means_no_span_of_ours(kit):
    """Neither the client span nor those below, and no header."""
    with tracing(kit, spans="off") as tracer, Server() as server:

        async def story(driver):
            with tracer.span():
                await driver.get(server.url())

        run(kit, story)
        assert [span.name for span in tracer.tree().spans] == ["test"]
        assert "traceparent" not in server.requests[0].headers


@kits(flavours=["httpx", "httpx2"], colours=["sync"])
def test_a_transport_without_a_pool_has_its_client_span(kit):
    """And its context goes out with the request, which stays the user's own."""
    with tracing(kit) as tracer:
        seen = []

        def answer(request):
            seen.append(request)
            return kit.http.Response(200)

        transport = kit.ours.InstrumentedSyncTransport(kit.http.MockTransport(answer), sinks=kit.sinks)
        with kit.http.Client(verify=False, transport=transport) as client:
            response = client.get("http://mock/")
        (span,) = tracer.tree().spans
        assert span.kind == "CLIENT"
        assert span.span_id.hex() in seen[0].headers["traceparent"]
        assert "traceparent" not in response.request.headers
