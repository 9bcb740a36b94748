"""Scenarios of other roads to the origin: HTTP/2, proxies, Unix sockets; and of extensions on the way."""

from itertools import chain

from harness import HttpProxy, SocksProxy, refused_port, stranger_context
from transparency import describe


async def http2(run):
    def script(peer):
        for request in peer.requests():
            peer.respond(request, int(request.target[1:] or 200), request.body or b"ok", [("x-one", "1")])

    server = run.serve_h2(script)
    async with run.client(run.transport(http2=True)) as client:
        await run.attempt("get", client.get, server.url("/200"))
        await run.attempt("post", client.post, server.url("/201"), content=b"x" * 100_000)
        await run.attempt("no content", client.get, server.url("/204"))
        async with client.stream("GET", server.url("/200")) as response:
            run.observe("unread", response)
        run.observe("closed unread", response.is_closed)
        await run.attempt("afterwards", client.get, server.url("/200"))
    async with run.client(run.transport(http2=False, http1=True)) as client:
        await run.attempt("ALPN finds nothing", client.get, server.url())


async def http2_together(run):
    run.unordered = True

    def script(peer):
        held = [peer.request(), peer.request()]
        for request in chain(held, peer.requests()):
            peer.respond(request, 200, request.target.encode())

    server = run.serve_h2(script, max_streams=2)
    async with run.client(run.transport(http2=True)) as client:

        async def fetch(number):
            await run.attempt_quietly(f"request {number}", client.get, server.url(f"/{number}"))

        await run.together(lambda: fetch(1), lambda: fetch(2))
        run.mark("two done")
        await run.together(*[lambda number=number: fetch(number) for number in (3, 4, 5, 6)])
        run.mark("six done")


async def http2_goaway(run):
    def script(peer):
        first = peer.request()
        peer.respond(first, 200, b"first")
        if peer.number == 1:
            peer.request()
            peer.goaway(first.stream_id)
        peer.until_closed()

    server = run.serve_h2(script)
    async with run.client(run.transport(http2=True)) as client:
        await run.attempt("first", client.get, server.url("/1"))
        await run.attempt("sent again", client.get, server.url("/2"))


async def http2_goaway_of_own_stream(run):
    """GOAWAY that names this very stream, then silence: an error reaches the caller."""

    def script(peer):
        request = peer.request()
        peer.respond_head(request)
        peer.goaway(request.stream_id, 11)

    server = run.serve_h2(script)
    async with run.client(run.transport(http2=True)) as client:
        await run.attempt("cut", client.get, server.url())
        await run.attempt("again", client.get, server.url())


async def http2_resets(run):
    def script(peer):
        peer.reset_stream(peer.request())
        request = peer.request()
        peer.respond_head(request)
        peer.data(request, b"half")
        peer.reset_stream(request)
        peer.respond(peer.request(), 200, b"well")
        peer.request()

    server = run.serve_h2(script)
    async with run.client(run.transport(http2=True)) as client:
        await run.attempt("before the head", client.get, server.url())
        await run.attempt("in the body", client.get, server.url())
        await run.attempt("well", client.get, server.url())
        await run.attempt("dropped", client.get, server.url())


async def unix_socket(run):
    server = run.serve(uds=True)
    async with run.client(run.transport(uds=server.path)) as client:
        await run.attempt("get", client.get, "http://localhost/")
        await run.attempt("another host", client.get, "http://elsewhere/")
    async with run.client(run.transport(uds=server.path + ".gone")) as client:
        await run.attempt("nobody", client.get, "http://localhost/")


async def _through(run, proxy):
    plain, secure = run.serve(), run.serve(tls=True)
    run.known(proxy.port, "PROXY")
    async with run.client(run.transport(proxy=proxy.url)) as client:
        for number in (1, 2):
            await run.attempt(f"plain {number}", client.get, plain.url())
            await run.attempt(f"secure {number}", client.get, secure.url())
        await run.attempt("upload", client.post, secure.url(), content=b"body")
    async with run.client(run.transport(proxy=proxy.url, http2=True)) as client:
        secure = run.serve_h2()
        await run.attempt("HTTP/2 through", client.get, secure.url())


async def http_proxy(run):
    await _through(run, run.stack.enter_context(HttpProxy()))


async def socks_proxy(run):
    await _through(run, run.stack.enter_context(SocksProxy()))


async def refusing_proxy(run):
    def script(peer):
        for request in peer.requests():
            peer.respond(407 if "auth" in request.target else 502, b"no")

    proxy = run.serve(script)
    async with run.client(run.transport(proxy=proxy.url())) as client:
        await run.attempt("tunnel, 407", client.get, "https://auth.test/")
        await run.attempt("tunnel, 502", client.get, "https://origin.test/")
        await run.attempt("forward, 502", client.get, "http://origin.test/")
        await run.attempt("forward, 407", client.get, "http://auth.test/")


async def failing_proxies(run):
    port = run.stack.enter_context(refused_port())
    run.known(port, "REFUSED")
    rude = run.serve(lambda peer: peer.receive() and None)
    for scheme in ("http", "socks5"):
        for name, where in (("unreachable", port), ("closes", rude.port)):
            async with run.client(run.transport(proxy=f"{scheme}://127.0.0.1:{where}")) as client:
                await run.attempt(f"{scheme} {name}, http", client.get, "http://origin.test/")
                await run.attempt(f"{scheme} {name}, https", client.get, "https://origin.test/")


async def untrusted_behind_proxy(run):
    proxy = run.stack.enter_context(HttpProxy())
    run.known(proxy.port, "PROXY")
    secure = run.serve(tls=True)
    async with run.client(run.transport(proxy=proxy.url, verify=stranger_context())) as client:
        await run.attempt("untrusted", client.get, secure.url())


async def own_trace(run):
    def trace(name, info):
        run.observe(f"event {len(run.record)} {name}", sorted(info))
        if hasattr(info.get("return_value"), "get_extra_info"):
            run.record[f"event {len(run.record)}"] = {
                "extensions": {"network_stream": describe.extension(info["return_value"], run.flavour)}
            }

    plain, secure = run.serve(), run.serve(tls=True)
    async with run.client(run.transport(retries=1), follow_redirects=True) as client:
        for number, url in enumerate((plain.url(), plain.url("/again"), secure.url())):
            extensions = {"trace": run.callback(trace), "own": {"a": 1}}
            kept = dict(extensions)
            request = client.build_request("GET", url, extensions=extensions)
            before = request.extensions
            await run.attempt(f"traced {number}", client.send, request)
            run.observe(f"same dict {number}", request.extensions is before)
            run.observe(f"same values {number}", all(request.extensions.get(key) is kept[key] for key in kept))
            run.observe(f"callers' dict {number}", extensions == kept)


async def raising_trace(run):
    server = run.serve()
    for event in (
        "connection.connect_tcp.started",
        "http11.send_request_headers.started",
        "http11.receive_response_headers.complete",
        "http11.receive_response_body.started",
        "http11.response_closed.started",
    ):

        def trace(name, info, event=event):
            if name == event:
                raise LookupError("the caller's trace")

        async with run.client() as client:
            extensions = {"trace": run.callback(trace)}
            await run.attempt(event, client.get, server.url(), extensions=extensions)
            await run.attempt(f"after {event}", client.get, server.url())


async def extensions_untouched(run):
    """Redirects pass the same extensions on: they must leave the transport as they came."""

    def script(peer):
        for request in peer.requests():
            moved = request.target == "/1"
            peer.respond(302 if moved else 200, b"", [("location", "/2")] if moved else [])

    server = run.serve(script)
    seen = []

    def look(request):
        seen.append((id(request.extensions.get("own")) == id(own), sorted(request.extensions)))

    own = {"nested": []}
    hooks = {"request": [run.callback(look)]}
    async with run.client(event_hooks=hooks, follow_redirects=True) as client:
        request = client.build_request("GET", server.url("/1"), extensions={"own": own, "sni_hostname": "other"})
        await run.attempt("redirected", client.send, request)
        run.observe("own value", own)
    run.observe("seen", [repr(item) for item in seen])
