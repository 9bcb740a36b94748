"""Scenarios of ends: early closes, closes in flight, use after a close, cancels."""

import gc
from collections.abc import AsyncGenerator, Generator

import anyio

from harness import Peer
from transparency.colours import inner


def _three_parts(peer: Peer) -> None:
    for _ in peer.requests():
        peer.respond_head(parts=(b"one", b"two", b"three", b""))


def _held(peer: Peer) -> None:
    """Answer in two parts, the second when the gate opens; `/fast` at once."""
    for request in peer.requests():
        peer.respond_head(parts=[b"one"] if request.target != "/fast" else [b"one", b"two", b""])
        if request.target != "/fast":
            peer.reached("half sent")
            peer.wait("go on")
            peer.chunk(b"two", b"")


async def early_close(run):
    server = run.serve(_held)
    async with run.client() as client:
        async with client.stream("GET", server.url()) as response:
            run.mark("open")
        run.observe("response", response)
        run.mark("closed unread")
        async with client.stream("GET", server.url()) as response:
            async for part in response.aiter_raw():
                run.observe("first part", part)
                break
        run.mark("closed half read")
        await response.aclose()
        run.mark("closed twice")
        server.gate("go on").set()
        await run.attempt("afterwards", client.get, server.url("/fast"))


async def abandoned_iterators(run):
    """Who iterates the stream itself may end its iterator half-way, as httpx2's client does."""
    server = run.serve(_three_parts)
    transport = run.transport()
    response = inner(await transport.handle_async_request(run.httpx.Request("GET", server.url())))
    iterator = aiter(response.stream) if run.is_async else iter(response.stream)
    run.observe("kinds", [isinstance(iterator, kind) for kind in (AsyncGenerator, Generator)])
    run.observe("first part", await anext(iterator) if run.is_async else next(iterator))
    await run.attempt("end the iterator", run.face(iterator).aclose)
    await run.attempt("go on", run.face(iterator).__anext__ if run.is_async else _next_of(iterator))
    await run.attempt("close", run.face(response).aclose)


def _next_of(iterator):
    async def call():
        return next(iterator)

    return call


async def caller_raises(run):
    server = run.serve(_three_parts)
    async with run.client() as client:
        with run.attempting("in the stream"):
            async with client.stream("GET", server.url()) as response:
                async for _ in response.aiter_bytes():
                    raise LookupError("the caller's")
        run.observe("response", response)
    with run.attempting("in the client"):
        async with run.client() as client:
            await client.get(server.url())
            raise LookupError("the caller's")


async def dropped_response(run):
    """A response that nobody closes keeps its slot, bare or wrapped."""
    server = run.serve(_held)
    limits = run.httpx.Limits(max_connections=1)
    timeout = run.httpx.Timeout(5, pool=0.3)
    async with run.client(run.transport(limits=limits), timeout=timeout) as client:
        request = client.build_request("GET", server.url())
        response = await client.send(request, stream=True)
        async for _ in response.aiter_raw():
            break
        del response, request, _
        gc.collect()
        if run.is_async:
            await anyio.wait_all_tasks_blocked()  # the loop may end the generators that were dropped
        run.mark("dropped")
        await run.attempt("next", client.get, server.url("/fast"))
    server.gate("go on").set()


async def closed_in_flight(run):
    server = run.serve(_held)
    client = run.client()
    async with client.stream("GET", server.url()) as response:
        await run.attempt("close the client", client.aclose)
        server.gate("go on").set()
        await run.attempt("read on", response.aread)
    await run.attempt("use after close", client.get, server.url())
    await run.attempt("close again", client.aclose)


async def closed_while_reading(run):
    if not run.is_async:
        return  # closing a socket under a thread's recv is not defined
    run.unordered = True
    server = run.serve(_held)
    client = run.client()

    half_read = anyio.Event()

    async def fetch():
        with run.attempting("in flight"):
            async with client.stream("GET", server.url()) as response:
                async for _ in response.aiter_raw():
                    half_read.set()

    async def close():
        await half_read.wait()
        await anyio.wait_all_tasks_blocked()
        await run.attempt("close", client.aclose)
        server.gate("go on").set()

    await run.together(fetch, close)


async def transport_after_close(run):
    server = run.serve()
    transport = run.transport()
    for number in (1, 2):
        request = run.httpx.Request("GET", server.url(f"/{number}"), extensions={"timeout": {"pool": 1}})
        response = await run.attempt(f"request {number}", transport.handle_async_request, request)
        await run.attempt(f"read {number}", response.aread)
        await run.attempt(f"close the response {number}", response.aclose)
        await run.attempt(f"close {number}", transport.aclose)
        await run.attempt(f"close again {number}", transport.aclose)


async def transport_as_context(run):
    server = run.serve()
    transport = run.transport()
    with run.attempting("block"):
        async with transport:
            response = await transport.handle_async_request(run.httpx.Request("GET", server.url()))
            run.observe("body", await response.aread())
            raise LookupError("the caller's")
    client = run.client(transport)
    await run.attempt("opened", client.__aenter__)
    await run.attempt("once more", client.get, server.url())
    with run.attempting("opened twice"):
        await client.__aenter__()
    await run.attempt("exit", client.__aexit__, None, None, None)


async def cancelled(run):
    """A request is cancelled while it waits for its answer, one for a connection, one for the rest of a body."""
    if not run.is_async:
        return
    server = run.serve(_held)
    limits = run.httpx.Limits(max_connections=1)
    async with run.client(run.transport(limits=limits), timeout=None) as client:

        async def cut(name, function, *args):
            with anyio.move_on_after(0.05) as scope:
                try:
                    await function(*args)
                except BaseException as exc:
                    run.observe(f"{name} raised", type(exc).__qualname__)
                    raise
            run.observe(f"{name} was cancelled", scope.cancelled_caught)
            run.mark(name)

        async with client.stream("GET", server.url()) as response:
            await cut("waiting for a connection", client.get, server.url("/fast"))
            await cut("waiting for the body", response.aread)
        run.mark("left the stream")
        server.gate("go on").set()
        await run.attempt("afterwards", client.get, server.url("/fast"), timeout=1)
