"""Scenarios in which the server answers: statuses, bodies, uploads, redirects, auth, hooks, extensions."""

from harness import Peer


async def statuses(run):
    def script(peer):
        for request in peer.requests():
            peer.respond(int(request.target[1:]), b"body", [("X-One", "1"), ("x-one", "2")])

    server = run.serve(script)
    async with run.client() as client:
        for status in (200, 201, 204, 304, 404, 418, 500, 503, 599):
            await run.attempt(f"status {status}", client.get, server.url(f"/{status}"))
        response = await client.get(server.url("/500"))
        with run.attempting("raise for status"):
            response.raise_for_status()


async def methods(run):
    def script(peer):
        for request in peer.requests():
            if request.method == "HEAD":
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            else:
                peer.respond(200, request.method.encode())

    server = run.serve(script)
    async with run.client() as client:
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"):
            await run.attempt(method, client.request, method, server.url())


async def odd_answers(run):
    answers = {
        "/informational": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "/no-reason": b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
        "/latin": b"HTTP/1.1 200 OK\r\nX-Name: caf\xe9\r\nContent-Length: 0\r\n\r\n",
        "/gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nnot",
        "/old": b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
    }

    def script(peer):
        for request in peer.requests():
            peer.send(answers[request.target])
            if request.target == "/old":
                return

    server = run.serve(script)
    async with run.client() as client:
        for target in answers:
            await run.attempt(target, client.get, server.url(target))


def chunks_script(peer: Peer):
    for _ in peer.requests():
        parts = (b"one\ntw", b"o\nthr\xc3", b"\xa9e\n", b"")
        peer.respond_head(200, [("content-type", "text/plain; charset=utf-8")], parts)


async def streams(run):
    server = run.serve(chunks_script)
    async with run.client() as client:
        for how in ("aiter_bytes", "aiter_text", "aiter_lines"):
            async with client.stream("GET", server.url(f"/{how}")) as response:
                run.observe(f"{how} before", response)
                joined = [part async for part in getattr(response, how)()]
                run.observe(f"{how} parts", joined if how == "aiter_lines" else type(joined[0])().join(joined))
                run.observe(f"{how} after", response)
            run.mark(how)
        async with client.stream("GET", server.url("/raw")) as response:
            raw = [part async for part in response.aiter_raw(4)]
            run.observe("raw parts", raw)
            with run.attempting("raw again"):
                raw = [part async for part in response.aiter_raw()]
        with run.attempting("read after close"):
            await response.aread()


async def slow_parts(run):
    """Each chunk is sent only when the one before was read: a wrapper that buffers would hang or join them."""

    def script(peer):
        peer.request()
        peer.respond_head(parts=[b"part 0"])
        for number in range(3):
            peer.wait(f"read {number}")
            peer.chunk(b"part %d" % (number + 1) if number < 2 else b"")
        peer.until_closed()

    server = run.serve(script)
    async with run.client() as client, client.stream("GET", server.url()) as response:
        parts = []
        async for part in response.aiter_raw():
            parts.append(part)
            run.mark(f"part {len(parts)}")
            server.gate(f"read {len(parts) - 1}").set()
        run.observe("parts", parts)
        run.mark("read")


async def large_bodies(run):
    run.wire.with_data = False  # how megabytes fall into reads is the kernel's choice
    size = 2 * 1024 * 1024

    def script(peer):
        for request in peer.requests():
            peer.respond(200, bytes(reversed(request.body)) or b"0123456789abcdef" * (size // 16))

    server = run.serve(script)
    async with run.client() as client:
        await run.attempt("download", client.get, server.url())
        await run.attempt("upload", client.post, server.url(), content=bytes(range(256)) * (size // 256))
        parts = [bytes([number]) * 65536 for number in range(32)]
        await run.attempt("streamed upload", client.post, server.url(), content=run.body(parts))


async def uploads(run):
    server = run.serve()
    multipart = {"content-type": "multipart/form-data; boundary=line"}
    async with run.client() as client:
        await run.attempt("bytes", client.post, server.url(), content=b"some bytes")
        await run.attempt("form", client.post, server.url(), data={"a": "1"})
        await run.attempt("json", client.post, server.url(), json={"a": [1]})
        await run.attempt("files", client.put, server.url(), files={"f": b"x"}, headers=multipart)
        await run.attempt("generator", client.post, server.url(), content=run.body([b"one", b"", b"two"]))
        await run.attempt("again", client.get, server.url())
    run.observe("bodies", [request.body for request in server.requests])


async def failing_upload(run):
    async def parts():
        yield b"one"
        raise LookupError("the caller's generator")

    def sync_parts():
        yield b"one"
        raise LookupError("the caller's generator")

    server = run.serve()
    async with run.client() as client:
        content = parts() if run.is_async else sync_parts()
        await run.attempt("upload", client.post, server.url(), content=content)
        await run.attempt("afterwards", client.get, server.url())


async def early_response(run):
    """The server answers and sends no more while the client still uploads."""

    def script(peer):
        peer.request(body=False)
        peer.respond(413, b"too large", [("connection", "close")])
        peer.half_close()
        peer.reached("answered")
        peer.until_closed()

    server = run.serve(script)

    def parts():
        yield b"first"
        assert server.gate("answered").wait(5)

    async with run.client() as client:
        await run.attempt("upload", client.post, server.url(), content=run.body(parts()))


async def redirects(run):
    def script(peer):
        for request in peer.requests():
            steps = {"/1": "/2", "/2": "/3", "/loop": "/loop", "/post": "/3"}
            if request.target in steps:
                status = 307 if request.target == "/post" else 302
                peer.respond(status, b"moved", [("location", steps[request.target]), ("set-cookie", "a=b")])
            else:
                peer.respond(200, request.headers.get("cookie", "").encode())

    server = run.serve(script)
    async with run.client(follow_redirects=True, max_redirects=4) as client:
        await run.attempt("followed", client.get, server.url("/1"))
        await run.attempt("body sent again", client.post, server.url("/post"), content=b"body")
        await run.attempt("loop", client.get, server.url("/loop"))
        await run.attempt("not followed", client.get, server.url("/1"), follow_redirects=False)
        generator = run.body([b"once"])
        await run.attempt("cannot be sent again", client.post, server.url("/post"), content=generator)


async def redirect_elsewhere(run):
    second = run.serve()

    def script(peer):
        for _ in peer.requests():
            peer.respond(301, b"", [("location", second.url("/there"))])

    first = run.serve(script)
    async with run.client(follow_redirects=True) as client:
        await run.attempt("to another origin", client.get, first.url(), headers={"authorization": "secret"})
    run.observe("headers there", sorted(second.requests[0].headers))


async def digest_auth(run):
    def script(peer):
        for request in peer.requests():
            if "authorization" in request.headers:
                peer.respond(200, request.headers["authorization"].partition(",")[0].encode())
            else:
                challenge = 'Digest realm="r", nonce="n", algorithm=MD5'
                peer.respond(401, b"who?", [("www-authenticate", challenge)])

    server = run.serve(script)
    async with run.client(auth=run.httpx.DigestAuth("user", "word")) as client:
        await run.attempt("with auth", client.get, server.url())
        await run.attempt("once more", client.get, server.url("/two"))


async def event_hooks(run):
    seen = []

    def on_request(request):
        seen.append(f"request {request.url.path} {sorted(request.extensions)}")

    def on_response(response):
        seen.append(f"response {response.status_code} {response.is_closed} {sorted(response.extensions)}")
        if response.request.url.path == "/raise":
            response.raise_for_status()
            raise LookupError("the caller's hook")

    server = run.serve()
    hooks = {"request": [run.callback(on_request)], "response": [run.callback(on_response)]}
    async with run.client(event_hooks=hooks) as client:
        await run.attempt("hooked", client.get, server.url())
        await run.attempt("raising hook", client.get, server.url("/raise"))
    run.observe("seen", seen)


async def kept_alive_and_not(run):
    def script(peer):
        for request in peer.requests():
            closing = request.target == "/close"
            peer.respond(200, b"ok", [("connection", "close")] if closing else [])
            if closing:
                return

    server = run.serve(script)
    async with run.client() as client:
        for number, target in enumerate(("/", "/", "/close", "/", "/")):
            await run.attempt(f"{number}", client.get, server.url(target))
    limits = run.httpx.Limits(max_connections=2, max_keepalive_connections=0)
    async with run.client(run.transport(limits=limits)) as client:
        await run.attempt("no keep-alive", client.get, server.url())
