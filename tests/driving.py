"""One way to drive a client in every colour, so that a scenario is written once.

A story is an async function that is given a driver. In the sync colour its calls run a sync client in threads.
"""

import importlib
from contextlib import asynccontextmanager
from functools import partial

import anyio
import anyio.lowlevel
import pytest
from prometheus_client import CollectorRegistry

from flavours import FLAVOURS
from observing import Exposition, imbalances, scrape
from poolscope import PrometheusSink

KITS = [(flavour, colour) for flavour in FLAVOURS for colour in ("asyncio", "trio", "sync")]


class AsyncDriver:
    """Drives an async client."""

    def __init__(self, client, transport):
        self.client = client
        self.transport = transport

    async def get(self, url, **options):
        return await self.request("GET", url, **options)

    async def request(self, method, url, **options):
        return await self.client.request(method, url, **options)

    async def open(self, url, method="GET", **options):
        """Send a request and give its response unread."""
        return await self.client.send(self.client.build_request(method, url, **options), stream=True)

    async def read(self, response):
        return await response.aread()

    async def close(self, response):
        await response.aclose()

    async def close_client(self):
        await self.client.aclose()

    async def drain(self, timeout):
        return await self.transport.drain(timeout)


class SyncDriver:
    """Drives a sync client, each call in a thread."""

    def __init__(self, client, transport):
        self.client = client
        self.transport = transport

    async def get(self, url, **options):
        return await self.request("GET", url, **options)

    async def request(self, method, url, **options):
        return await anyio.to_thread.run_sync(partial(self.client.request, method, url, **options))

    async def open(self, url, method="GET", **options):
        request = self.client.build_request(method, url, **options)
        return await anyio.to_thread.run_sync(partial(self.client.send, request, stream=True))

    async def read(self, response):
        return await anyio.to_thread.run_sync(response.read)

    async def close(self, response):
        await anyio.to_thread.run_sync(response.close)

    async def close_client(self):
        await anyio.to_thread.run_sync(self.client.close)

    async def drain(self, timeout):
        return await anyio.to_thread.run_sync(self.transport.drain, timeout)


class Kit:
    """A flavour and a colour. `seen` is the last scrape; every scrape balances, or the test fails."""

    def __init__(self, flavour: str, colour: str) -> None:
        self.flavour = flavour
        self.colour = colour
        self.http = importlib.import_module(flavour)
        self.ours = importlib.import_module(f"poolscope.{flavour}")
        self.registry = CollectorRegistry()
        self.newer_core = flavour == "httpx2"
        self.sinks = []  # beside the one that is scraped

    def __repr__(self) -> str:
        return f"{self.flavour}-{self.colour}"

    @property
    def backend(self) -> str:
        """The event loop that stories run in, those of a sync client, too."""
        return "asyncio" if self.colour == "sync" else self.colour

    @property
    def client_class(self):
        return self.http.Client if self.colour == "sync" else self.http.AsyncClient

    @property
    def bare_class(self):
        """The flavour's own transport."""
        return self.http.HTTPTransport if self.colour == "sync" else self.http.AsyncHTTPTransport

    @property
    def transport_class(self):
        return self.ours.InstrumentedSyncTransport if self.colour == "sync" else self.ours.InstrumentedTransport

    def driver_of(self, client, transport):
        return (SyncDriver if self.colour == "sync" else AsyncDriver)(client, transport)

    def scrape(self) -> Exposition:
        seen = scrape(self.registry)
        assert imbalances(seen) == []
        return seen

    def limits(self, connections=None, keepalive=None, expiry=5.0):
        return self.http.Limits(
            max_connections=connections, max_keepalive_connections=keepalive, keepalive_expiry=expiry
        )

    @asynccontextmanager
    async def driver(self, *, name="pool", timeout=10.0, client_options=None, **options):
        if isinstance(options.get("proxy"), str):
            options["proxy"] = self.http.Proxy(options["proxy"])  # httpx 0.25's transport takes no string
        transport = self.transport_class(name=name, sinks=[PrometheusSink(self.registry), *self.sinks], **options)
        client = self.client_class(transport=transport, timeout=timeout, **(client_options or {}))
        driver = self.driver_of(client, transport)
        try:
            yield driver
        finally:
            await driver.close_client()

    def run(self, story, **options) -> Exposition:
        """Run a story with a driver made with these options; give the scrape after the client was closed."""

        async def main():
            async with self.driver(**options) as driver:
                await story(driver)

        anyio.run(main, backend=self.backend)
        return self.scrape()


def kits(*, flavours=("httpx", "httpx2"), colours=("asyncio", "trio", "sync"), without=()):
    """Run a test with each of these kits. without: pairs of flavour and colour that are left out."""
    chosen = [Kit(*pair) for pair in KITS if pair[0] in flavours and pair[1] in colours and pair not in without]
    return pytest.mark.parametrize(
        "kit", [pytest.param((k.flavour, k.colour), id=repr(k)) for k in chosen], indirect=True
    )


async def together(*calls):
    """Run async calls side by side; give their results in order, exceptions among them."""
    results = [None] * len(calls)

    async def keep(index, call):
        try:
            results[index] = await call()
        except Exception as exc:
            results[index] = exc

    async with anyio.create_task_group() as group:
        for index, call in enumerate(calls):
            group.start_soon(keep, index, call)
    return results


async def reached(server, gate):
    """Wait until a script came to this gate."""
    assert await anyio.to_thread.run_sync(server.gate(gate).wait, 10)


def held(peer):
    """A server's script: a request is answered once the gate "go" opens."""
    for _ in peer.requests():
        peer.reached("held")
        peer.wait("go")
        peer.respond(200, b"ok")


@asynccontextmanager
async def holding(driver, server, url=None, get=None):
    """A request holds a slot inside the block."""
    async with anyio.create_task_group() as group:
        group.start_soon(together, partial(get or driver.get, url or server.url()))
        await reached(server, "held")
        try:
            yield
        finally:
            server.gate("go").set()


async def cancelled_everywhere(driver, url):
    """Send 120 requests, ten at a time, each cancelled a few steps of the event loop further on."""

    async def impatient(checkpoints):
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(driver.get, url)
                for _ in range(checkpoints):
                    await anyio.lowlevel.checkpoint()
                scope.cancel()

    for first in range(12):
        await together(*[partial(impatient, first + n) for n in range(10)])


def drive(kit, client, *urls):
    """Get these URLs one after the other, then close the client; give the status codes."""

    async def main():
        codes = []
        for url in urls:
            response = client.get(url) if kit.colour == "sync" else await client.get(url)
            codes.append(response.status_code)
        client.close() if kit.colour == "sync" else await client.aclose()
        return codes

    return anyio.run(main, backend=kit.backend)
