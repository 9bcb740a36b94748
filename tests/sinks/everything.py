"""One short story on one real pool in which every kind of event happens."""

import asyncio
import gc
from contextlib import suppress
from unittest.mock import patch

import anyio
import anyio.lowlevel
import httpx

from driving import reached, together
from harness import H2Server, Server, client_context, refused_port, server_context
from poolscope import InstrumentedTransport, _losses


def script(peer):
    for request in peer.requests():
        if request.target == "/dropped":
            peer.reached("dropped")
            peer.wait("drop")
            return
        if request.target == "/held":
            peer.reached("held")
            peer.wait("go on")
        peer.respond(200, b"ok")


def answers(results) -> list[str]:
    return [str(r.status_code) if isinstance(r, httpx.Response) else type(r).__name__ for r in results]


async def story(sinks) -> list[str]:
    """Run it; give each request's outcome, which no sink may change."""
    outcomes = []
    limits = httpx.Limits(max_connections=1)
    transport = InstrumentedTransport(
        name="all", sinks=sinks, limits=limits, http2=True, verify=client_context(), held_too_long_seconds=0.001
    )
    with Server(script, tls=server_context()) as server, H2Server() as h2, refused_port() as nobody:
        client = httpx.AsyncClient(transport=transport, timeout=5)

        async def get(url, **options):
            outcomes.extend(answers(await together(lambda: client.get(url, **options))))

        # two requests join one connection, which then turns out to speak HTTP/1.1: an early re-queue
        outcomes.extend(answers(await together(*[lambda: client.get(server.url())] * 2)))
        await get(server.url())
        async with anyio.create_task_group() as group:
            group.start_soon(get, server.url("/held"))
            await reached(server, "held")
            await get(server.url(), timeout=httpx.Timeout(5, pool=0.01))
            with anyio.move_on_after(0.01):
                await client.get(server.url())
                outcomes.append("was not cancelled")
            server.gate("go on").set()
        await get(h2.url())
        await get(f"http://127.0.0.1:{nobody}/")
        gc.collect()  # the refused slot goes with its exception, which is in a reference cycle
        with patch.object(_losses, "_SURE_SECONDS", 0.0):
            await lose_a_slot(server, client, transport)
            transport.snapshot()
        await transport.aclose()
        transport.snapshot()
        await get(server.url())
        await client.aclose()
    return outcomes


async def lose_a_slot(server, client, transport) -> None:
    """Cancel a request that was given a new connection, before it runs again: httpcore 1.x never gets the slot back.

    The pool has one slot, and whoever holds it fails, which gives the slot away without a pause.
    """

    async def drop():
        with suppress(httpx.RemoteProtocolError):
            await client.get(server.url("/dropped"))
        unlucky.cancel()

    dropped = asyncio.create_task(drop())
    await reached(server, "dropped")
    unlucky = asyncio.create_task(client.get(server.url()))
    while not transport.snapshot().waiting:
        await anyio.lowlevel.checkpoint()
    server.gate("drop").set()
    await asyncio.wait([dropped, unlucky])


EXPECTED = ["200", "200", "200", "PoolTimeout", "200", "200", "ConnectError", "200"]
