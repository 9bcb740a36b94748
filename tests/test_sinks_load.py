"""Any one collection tells one story, also in the middle of load: METRICS' four equations, for both sinks."""

import threading
import time

import anyio
import httpx
import pytest

from exposing import Both
from harness import Server
from observing import imbalances
from poolscope import InstrumentedSyncTransport, InstrumentedTransport
from poolscope import _contract as c

WORKERS = 8
LIMITS = httpx.Limits(max_connections=3, max_keepalive_connections=2)
QUICKLY = httpx.Timeout(5, pool=0.004)


def script(peer):
    """Every fifth answer closes, so that connections come and go."""
    for number, _ in enumerate(peer.requests(), 1):
        if number % 5 == 0:
            peer.respond(200, b"bye", [("connection", "close")])
            return
        peer.respond(200, b"ok" * 500)


class Scrapers:
    """One thread a sink scrapes without a pause, until it has seen so many scrapes with connections in use."""

    def __init__(self, both, scrapes):
        self.wrong = []
        self.seen = []
        self._scrapes = scrapes
        self._threads = [threading.Thread(target=self._run, args=(look,)) for look in (both.native, both.reading)]

    def _run(self, look):
        busy, end = 0, time.monotonic() + 10
        while busy < self._scrapes and time.monotonic() < end:
            seen = look()
            self.wrong += imbalances(seen)
            self.seen.append(seen)
            busy += bool(seen(c.CHECKED_OUT))

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc_info):
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()

    @property
    def running(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def judge(self, both):
        """Nothing was wrong, and there was something to see: levels above zero, waits, failures, closes."""
        assert self.wrong == []
        for metric in (c.CHECKED_OUT, c.PENDING, c.IN_USE):
            assert any(seen(metric) for seen in self.seen), metric.name
        native, reading = both.native(), both.reading()
        assert imbalances(native) == imbalances(reading) == []
        for metric in (c.TIMEOUTS, c.CLOSED, c.ACQUISITIONS):
            assert native(metric) == reading(metric) > 0
        assert native(c.USE_TIME, "_count") == reading(c.USE_TIME, "_count") > 0


def sync_load(both, url, scrapers):
    transport = InstrumentedSyncTransport(name="sync", sinks=both.sinks, limits=LIMITS)

    def work(number):
        while scrapers.running:
            try:
                client.get(url, timeout=QUICKLY if number % 2 else 5)
            except httpx.TransportError:  # also httpcore's own, of threads that meet on an idle connection
                continue

    with httpx.Client(transport=transport) as client:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(WORKERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()


async def async_load(both, url, scrapers):
    transport = InstrumentedTransport(name="async", sinks=both.sinks, limits=LIMITS)

    async def work(number):
        while scrapers.running:
            with anyio.move_on_after(0.004 if number == 0 else 5):
                try:
                    await client.get(url, timeout=QUICKLY if number % 2 else 5)
                except httpx.PoolTimeout:
                    continue

    async with httpx.AsyncClient(transport=transport) as client, anyio.create_task_group() as group:
        for number in range(WORKERS):
            group.start_soon(work, number)


@pytest.mark.parametrize("colour", ["sync", "asyncio", "trio"])
def test_every_single_collection_during_load_balances(colour):
    """Threads or tasks make requests, time out and are cancelled, while each sink is scraped by a thread of its own."""
    with Both() as both, Server(script) as server:
        with Scrapers(both, scrapes=15) as scrapers:
            if colour == "sync":
                sync_load(both, server.url(), scrapers)
            else:
                anyio.run(async_load, both, server.url(), scrapers, backend=colour)
        scrapers.judge(both)


def test_requests_within_one_collection_belong_to_the_next():
    """Between our callbacks and the SDK's look at the histograms: forced here, by a callback that makes requests."""
    with Both() as both, Server() as server:
        transport = InstrumentedSyncTransport(name="sync", sinks=both.sinks)
        with httpx.Client(transport=transport) as client:

            def busy(_):
                for _ in range(40):
                    client.get(server.url())
                return ()

            both.provider.get_meter("theirs").create_observable_gauge("theirs", [busy])
            for collections in range(3):
                seen = both.reading()
                assert imbalances(seen) == []
                assert seen(c.CHECKOUTS) == seen(c.USE_TIME, "_count") == 40 * collections
