"""Scenarios in which something fails: connecting, TLS, timeouts, drops, what the user sends."""

from harness import BlackHole, Peer, refused_port, server_context, stranger_context


async def refused(run):
    port = run.stack.enter_context(refused_port())
    run.known(port, "REFUSED")
    for retries in (0, 1, 3):
        async with run.client(run.transport(retries=retries)) as client:
            await run.attempt(f"{retries} retries", client.get, f"http://127.0.0.1:{port}/")


async def retried_then_well(run):
    """The first attempts find nobody, then the server is there: the retry gets its answer."""
    server = run.serve()
    async with run.client(run.transport(retries=2, refusals=2)) as client:
        await run.attempt("after two refusals", client.get, server.url(), extensions={"own": "kept"})


async def unknown_host(run):
    async with run.client() as client:
        await run.attempt("no such host", client.get, "http://nowhere.invalid/")


async def tls_errors(run):
    trusted = run.serve(tls=True)
    wrong = run.serve(tls=server_context("elsewhere.test"))
    plain = run.serve(_closes_at_once)
    async with run.client(run.transport(verify=stranger_context())) as client:
        await run.attempt("untrusted", client.get, trusted.url())
    async with run.client() as client:
        await run.attempt("wrong host", client.get, wrong.url())
        await run.attempt("no TLS there", client.get, plain.url().replace("http:", "https:"))
        await run.attempt("well", client.get, trusted.url())
        await run.attempt("by name", client.get, trusted.url(host="localhost"))


def _closes_at_once(peer: Peer) -> None:
    peer.receive()
    peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")


async def connect_timeout(run):
    hole = run.stack.enter_context(BlackHole())
    run.known(hole.port, "HOLE")
    async with run.client(timeout=run.httpx.Timeout(5, connect=0.05)) as client:
        await run.attempt("timeout", client.get, hole.url())


async def tls_timeout(run):
    server = run.serve(lambda peer: peer.until_closed())
    async with run.client(timeout=run.httpx.Timeout(5, connect=0.4)) as client:
        await run.attempt("timeout", client.get, server.url().replace("http:", "https:"))


async def read_timeouts(run):
    def script(peer):
        request = peer.request()
        if request.target == "/head":
            peer.send(b"HTTP/1.1 200 OK\r\n")
        elif request.target == "/body":
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        peer.until_closed()

    server = run.serve(script)
    async with run.client() as client:
        # what the server sends of head and body must come in time
        for target, seconds in (("/nothing", 0.05), ("/head", 0.4), ("/body", 0.4)):
            timeout = run.httpx.Timeout(5, read=seconds)
            await run.attempt(target, client.get, server.url(target), timeout=timeout)


async def write_timeout(run):
    run.wire.with_data = False  # how much the kernel takes before it waits is its choice

    def script(peer):
        peer.request(body=False)
        peer.wait("timed out")

    server = run.serve(script)
    async with run.client(timeout=run.httpx.Timeout(5, write=0.1)) as client:
        await run.attempt("timeout", client.post, server.url(), content=bytes(32 * 1024 * 1024))
    server.gate("timed out").set()


async def pool_timeout(run):
    server = run.serve(_two_parts)
    limits = run.httpx.Limits(max_connections=1)
    timeout = run.httpx.Timeout(5, pool=0.05)
    async with run.client(run.transport(limits=limits), timeout=timeout) as client:
        async with client.stream("GET", server.url("/held")) as response:
            await run.attempt("timeout", client.get, server.url("/late"))
            await run.attempt("no wait", client.get, server.url("/late"), timeout=run.httpx.Timeout(5, pool=0))
            await response.aread()
        await run.attempt("afterwards", client.get, server.url("/after"))


def _two_parts(peer: Peer) -> None:
    for _ in peer.requests():
        peer.respond_head(parts=(b"one", b"two", b""))


async def drops(run):
    def script(peer):
        request = peer.request()
        sent = {
            "/before": b"",
            "/head": b"HTTP/1.1 200 OK\r\nX: ",
            "/body": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
            "/chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
            "/garbage": b"\0\1\2 garbage\r\n\r\n",
            "/reset": b"",
        }
        peer.send(sent[request.target])
        if request.target == "/reset":
            peer.reset()

    server = run.serve(script)
    for retries in (0, 1):
        async with run.client(run.transport(retries=retries)) as client:
            for target in ("/before", "/head", "/body", "/chunk", "/garbage", "/reset"):
                await run.attempt(f"{target}, {retries} retries", client.get, server.url(target))


async def dropped_while_idle(run):
    def script(peer):
        peer.request()
        peer.respond(200, b"ok")
        if peer.number < 3:
            peer.wait("answered")
            peer.close()
            peer.reached("gone")
        else:
            for _ in peer.requests():
                peer.respond(200, b"ok")

    server = run.serve(script)
    async with run.client() as client:
        for number in (1, 2, 3, 4):
            await run.attempt(f"request {number}", client.get, server.url())
            if number < 3:
                server.gate("gone").clear()
                server.gate("answered").set()
                await run.wait(server.gate("gone"))
                server.gate("answered").clear()
            run.mark(f"between, {number}")


async def expired(run):
    server = run.serve()
    limits = run.httpx.Limits(keepalive_expiry=0.0)
    async with run.client(run.transport(limits=limits)) as client:
        await run.attempt("first", client.get, server.url())
        await run.attempt("second", client.get, server.url())


async def illegal_requests(run):
    server = run.serve()
    async with run.client() as client:
        await run.attempt("illegal value", client.get, server.url(), headers={"x": "a\nb"})
        await run.attempt("illegal name", client.get, server.url(), headers={"a b": "x"})
        await run.attempt("short body", client.post, server.url(), content=b"a", headers={"content-length": "9"})
        await run.attempt("long body", client.post, server.url(), content=b"abc", headers={"content-length": "1"})
        await run.attempt("afterwards", client.get, server.url())


async def illegal_urls(run):
    async with run.client() as client:
        for url in ("ftp://127.0.0.1/", "/relative", "http://", "http://127.0.0.1:99999/", "http://[bad/", "mailto:a"):
            await run.attempt(f"url {url}", client.get, url)


async def called_without_client(run):
    """A transport that is called without a client lets through what a client would refuse."""
    transport = run.transport()
    server = run.serve()
    for url in (server.url(), "ftp://127.0.0.1/", "/relative"):
        request = run.httpx.Request("GET", url)
        response = await run.attempt(f"direct {url}", transport.handle_async_request, request)
        if response is not None:
            await run.attempt("read", response.aread)
            await run.attempt("close", response.aclose)
