"""Clients that are used in a way that costs connections."""

import asyncio
import contextlib
import gc
import socket
import threading
import time
from unittest import mock

from findings.stage import asynchronous, fault, until, workers
from harness import HttpProxy, Server, client_context, server_context, stranger_context


def answer_of(size):
    def script(peer):
        for _ in peer.requests():
            peer.respond(200, b"x" * size)

    return script


@fault("responses-not-closed")
@asynchronous
async def responses_not_closed(stage, repaired):
    with Server() as server:
        async with stage.judged() as client:
            for _ in range(3):
                response = await client.send(client.build_request("GET", server.url()), stream=True)
                if repaired:
                    await response.aread()
                del response
                gc.collect()


@fault("orphaned-slots")
@asynchronous
async def orphaned_slots(stage, repaired):
    """TLS behind a tunnel that fails: httpcore #1023. The repaired client trusts the server."""
    trusted = client_context() if repaired else stranger_context()
    with HttpProxy() as proxy, Server(tls=server_context()) as server:
        async with stage.judged(proxy=stage.http.Proxy(proxy.url), verify=trusted) as client:
            for _ in range(2):
                with contextlib.suppress(stage.http.ConnectError):
                    await client.get(server.url())
            await until(client, lambda pool: repaired or pool.orphaned == 2)


@fault("responses-not-read")
@asynchronous
async def responses_not_read(stage, repaired):
    with Server(answer_of(100_000)) as server:
        async with stage.judged() as client:
            for _ in range(12):
                async with client.stream("GET", server.url()) as response:
                    if repaired:
                        await response.aread()


@fault("client-per-request")
@asynchronous
async def client_per_request(stage, repaired):
    with Server() as server:
        if repaired:
            async with stage.judged() as client:
                for _ in range(12):
                    await client.get(server.url())
            return
        for _ in range(11):
            async with stage.client() as client:
                await client.get(server.url())
        async with stage.judged() as client:
            await client.get(server.url())


@fault("client-not-closed")
@asynchronous
async def client_not_closed(stage, repaired):
    """The second client is in order: it only shows what became of the first."""
    with Server() as server:
        client = stage.client()
        await client.get(server.url())
        if repaired:
            await client.aclose()
        del client
        gc.collect()
        async with stage.judged() as client:
            await client.get(server.url())


@fault("client-across-event-loops")
def client_across_event_loops(stage, repaired):
    async def use(client):
        with contextlib.suppress(RuntimeError):
            await client.get(server.url())
        if repaired:
            await client.aclose()
        stage.judge(client)

    with Server() as server:
        client = stage.client()
        asyncio.run(use(client))
        if repaired:
            client = stage.client()
        asyncio.run(use(client))


@fault("event-loop-lag")
@asynchronous
async def event_loop_lag(stage, repaired):
    """Each request, over a new connection, comes after 60 ms of work on the event loop, or beside it."""

    async def request(client):
        if repaired:
            await asyncio.to_thread(time.sleep, 0.06)
        else:
            time.sleep(0.06)  # noqa: ASYNC251 - the fault
        await client.get(server.url())

    with Server() as server:
        async with stage.judged(limits=stage.limits(10, 0)) as client:
            await workers(8, 4, lambda: request(client))


@fault("origin-starvation")
@asynchronous
async def origin_starvation(stage, repaired):
    """Two requests wait for the slow origin; twelve to the fast one give up after 50 ms, or need not wait."""
    released = threading.Event()

    def script(peer):
        for _ in peer.requests():
            released.wait(10)
            peer.respond(200, b"ok")

    async def impatient():
        with contextlib.suppress(stage.http.PoolTimeout):
            await client.get(fast.url())

    timeout = stage.http.Timeout(30, pool=0.05)
    with Server(script) as slow, Server() as fast:
        options = {"timeout": timeout, "limits": stage.limits(2)}
        async with stage.client(**options) as client, stage.client(name="slow", **options) as own:
            user = own if repaired else client
            holders = [asyncio.create_task(user.get(slow.url())) for _ in range(2)]
            await until(user, lambda pool: pool.active == 2)
            await workers(1 if repaired else 12, 12 if repaired else 1, impatient)
            stage.judge(client)
            stage.judge(own)
            released.set()
            await asyncio.gather(*holders)


@fault("connections-too-old")
@asynchronous
async def connections_too_old(stage, repaired):
    """The clock runs ahead: by an hour under one client, or by four minutes under each of two."""
    ahead = 240.0 if repaired else 3600.0
    resolve = socket.getaddrinfo

    def moved(host, *args, **options):
        return resolve("127.0.0.1" if host in {"api.test", b"api.test"} else host, *args, **options)

    with Server() as server, mock.patch("socket.getaddrinfo", moved):
        for _ in range(2 if repaired else 1):
            async with stage.client() as client:
                await client.get(server.url(host="api.test"))
                client._transport.observer.clock = lambda: time.monotonic() + ahead
                stage.judge(client)
