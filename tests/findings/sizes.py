"""Limits and timeouts that do not fit their load."""

import asyncio
import contextlib
import threading

from findings.stage import asynchronous, fault, until, workers
from harness import H2Server, Server
from harness.certificates import client_context


def slow(seconds):
    """Answer every request after so long."""
    never = threading.Event()

    def script(peer):
        for _ in peer.requests():
            never.wait(seconds)
            peer.respond(200, b"ok")

    return script


@fault("no-pool-timeout")
@asynchronous
async def no_pool_timeout(stage, repaired):
    timeout = stage.http.Timeout(5, pool=2) if repaired else None
    with Server() as server:
        async with stage.judged(timeout=timeout) as client:
            await client.get(server.url())


@fault("pool-timeout-too-long")
@asynchronous
async def pool_timeout_too_long(stage, repaired):
    """Its callers give up after 1.1 s, long before the pool does."""
    timeout = stage.http.Timeout(30, pool=0.5 if repaired else 30)
    held = threading.Event()

    def script(peer):
        for _ in peer.requests():
            held.wait(10)
            peer.respond(200, b"ok")

    async def impatient(client):
        with contextlib.suppress(TimeoutError, stage.http.PoolTimeout):
            async with asyncio.timeout(1.1):
                await client.get(server.url())

    with Server(script) as server:
        async with stage.judged(timeout=timeout, limits=stage.limits(1)) as client:
            holder = asyncio.create_task(client.get(server.url()))
            await until(client, lambda pool: pool.active == 1)
            await asyncio.gather(*(impatient(client) for _ in range(4)))
            held.set()
            await holder


@fault("unbounded-pool")
@asynchronous
async def unbounded_pool(stage, repaired):
    limits = stage.limits(10) if repaired else stage.http.Limits(max_connections=None)
    with Server() as server:
        async with stage.judged(limits=limits) as client:
            await client.get(server.url())


def twelve_workers(size):
    """Give a program of twelve workers, each request 80 ms, over so many connections."""

    @asynchronous
    async def program(stage, repaired):
        with Server(slow(0.08)) as server:
            async with stage.judged(limits=stage.limits(size)) as client:
                await workers(12, 5, lambda: client.get(server.url()))

    return program


@fault("pool-too-small")
def pool_too_small(stage, repaired):
    twelve_workers(16 if repaired else 4)(stage, repaired)


@fault("pool-too-large")
@asynchronous
async def pool_too_large(stage, repaired):
    with Server() as server:
        async with stage.judged(limits=stage.limits(20 if repaired else 2000)) as client:
            await workers(2, 110, lambda: client.get(server.url()))


@fault("keepalive-below-concurrency")
@asynchronous
async def keepalive_below_concurrency(stage, repaired):
    """Twenty requests at once, ten times."""
    together = threading.Barrier(20)
    newer = stage.http.__name__ == "httpx2"

    def script(peer):
        for _ in peer.requests():
            if not newer:
                together.wait(10)  # however few the machine would let run
            peer.respond(200, b"ok")

    with Server(script) as server:
        async with stage.judged(limits=stage.limits(20, 20 if repaired else 5)) as client:
            await workers(20, 10, lambda: client.get(server.url()))


@fault("keepalive-equal-to-max")
@asynchronous
async def keepalive_equal_to_max(stage, repaired):
    """Three origins in turn, over connections that two of them keep idle."""
    with Server() as one, Server() as two, Server() as three:
        async with stage.judged(limits=stage.limits(6 if repaired else 2)) as client:
            for _ in range(12):
                for server in (one, two, three):
                    await client.get(server.url())


@fault("keepalive-expiry-too-long")
@asynchronous
async def keepalive_expiry_too_long(stage, repaired):
    """The server closes what is idle at once; the repaired client does so before it."""

    def script(peer):
        peer.request()
        peer.respond(200, b"ok")
        if repaired:
            peer.until_closed()

    with Server(script) as server:
        async with stage.judged(limits=stage.limits(10, expiry=0.0 if repaired else 5.0)) as client:
            for number in range(12):
                await client.get(server.url())
                if not repaired:
                    await asyncio.to_thread(server._threads[number].join)


@fault("http2-stream-queue")
@asynchronous
async def http2_stream_queue(stage, repaired):
    """Sixteen requests at once to a server that takes 30 ms for each, one after the other; repaired, 2 ms for more."""
    never = threading.Event()

    def script(peer):
        for request in peer.requests():
            never.wait(0.002 if repaired else 0.03)
            peer.respond(request, 200, b"ok")

    with H2Server(script, max_streams=100 if repaired else 2) as server:
        options = {"http2": True, "verify": client_context(), "limits": stage.limits(1)}
        async with stage.judged(**options) as client:
            await workers(16, 12 if repaired else 1, lambda: client.get(server.url()))
