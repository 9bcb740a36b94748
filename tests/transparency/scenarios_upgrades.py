"""Scenarios in which the connection becomes the caller's: 101, CONNECT, TLS on top of them."""

from harness import client_context, server_context
from transparency.colours import inner


async def upgrade(run):
    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\nhello")
        peer.echo()

    server = run.serve(script)
    headers = {"upgrade": "echo", "connection": "upgrade"}
    async with run.client() as client:
        async with client.stream("GET", server.url(), headers=headers) as response:
            run.observe("response", response)
            stream = run.face(response.extensions["network_stream"])
            run.mark("upgraded")
            await run.attempt("leading bytes", stream.read, 100, timeout=0.2)  # lost by the oldest httpcore
            await stream.write(b"there", timeout=5)
            run.observe("echo", await stream.read(100, timeout=5))
            await run.attempt("nothing to read", stream.read, 100, timeout=0.05)
            await run.attempt("close", stream.aclose)
            await run.attempt("write after close", stream.write, b"x", timeout=1)
        run.mark("left")
        async with client.stream("GET", server.url(), headers=headers) as response:
            run.mark("upgraded, not used")
    run.observe("closed", response.is_closed)


async def connect_method(run):
    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 Established\r\n\r\n")
        peer.echo()

    server = run.serve(script)
    async with run.client() as client:
        request = client.build_request("CONNECT", server.url(), extensions={"target": b"example.test:443"})
        response = await client.send(request, stream=True)
        run.observe("response", response)
        stream = run.face(response.extensions["network_stream"])
        await stream.write(b"through", timeout=5)
        run.observe("echo", await stream.read(100, timeout=5))
        await run.attempt("close", response.aclose)


async def starttls_after_upgrade(run):
    """`start_tls` of the stream in the response gives a stream of the flavour again."""

    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 Established\r\n\r\n")
        peer.sock = server_context().wrap_socket(peer.sock, server_side=True)
        peer.echo()

    server = run.serve(script)
    async with run.client() as client:
        request = client.build_request("CONNECT", server.url(), extensions={"target": b"localhost:443"})
        response = await client.send(request, stream=True)
        stream = run.face(response.extensions["network_stream"])
        run.observe("class", isinstance(response.extensions["network_stream"], _stream_classes(run)))
        secured = await stream.start_tls(client_context(), server_hostname="localhost", timeout=5)
        run.observe("secured class", isinstance(inner(secured), _stream_classes(run)))
        secured = run.face(inner(secured))
        await secured.write(b"secret", timeout=5)
        run.observe("echo", await secured.read(100, timeout=5))
        await run.attempt("close", secured.aclose)
        await run.attempt("close the response", response.aclose)


def _stream_classes(run):
    return run.core.AsyncNetworkStream if run.is_async else run.core.NetworkStream
