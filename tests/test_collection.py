"""What a collection does to the program around it: few objects at once, rests, no lock of ours held for long."""

import asyncio
import gc
from contextlib import suppress
from threading import Event, Thread

import httpx
import pytest
from opentelemetry.sdk.metrics import ExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry, generate_latest

from harness import Server
from observing import imbalances, scrape
from poolscope import InstrumentedSyncTransport, OpenTelemetrySink, PrometheusSink
from poolscope import _contract as c
from poolscope.sinks import _unhurried

pytestmark = pytest.mark.usefixtures("quick_collections")

POOLS, ORIGINS = 5, 10


class Alive(ExemplarFilter):
    """The most objects that the garbage collector walks and that were made since the start, looked at now and then.

    It is also a filter of the SDK, which asks it about each observation.
    """

    def __init__(self):
        self.start()

    def start(self):
        self.looks = self.most = 0
        gc.freeze()

    def look(self):
        self.looks += 1
        if self.looks % 50 == 0:
            self.most = max(self.most, len(gc.get_objects()))

    def should_sample(self, value, time_unix_nano, attributes, context):
        self.look()
        return False


class Pools:
    """Pools that spoke to several origins, in both sinks."""

    def __init__(self):
        self.registry, self.alive, self.reader = CollectorRegistry(), Alive(), InMemoryMetricReader()
        provider = MeterProvider([self.reader], exemplar_filter=self.alive, shutdown_on_exit=False)
        sinks = [PrometheusSink(self.registry), OpenTelemetrySink(provider, spans="off")]
        self.transports = [InstrumentedSyncTransport(name=f"pool {i}", sinks=sinks) for i in range(POOLS)]
        for transport in self.transports:
            for i in range(ORIGINS):
                with suppress(httpx.ConnectError):  # nobody listens there
                    transport.handle_request(httpx.Request("GET", f"http://127.0.0.1:{i + 1}/"))

    def scrape(self):
        """Go through the samples as an exposition does."""
        for family in self.registry.collect():
            for _ in family.samples:
                self.alive.look()

    def export(self):
        """Let the SDK collect."""
        self.reader.get_metrics_data()


@pytest.mark.parametrize(("collect", "made"), [(Pools.scrape, 8_000), (Pools.export, 1_500)])
def test_a_collection_makes_its_samples_one_by_one(collect, made):
    """All of them at once start full passes of the garbage collector, which stop every thread of the program. What is
    left are the copies of the histograms that one collection reads: two objects each.
    """
    pools = Pools()
    collect(pools)
    histograms = sum(s.name.endswith("_sum") for f in pools.registry.collect() for s in f.samples)
    pools.alive.start()
    collect(pools)
    assert pools.alive.looks > made
    assert pools.alive.most < 4 * histograms


class SlowClock:
    """A clock on which each thing takes so long that a rest is due after it, and a rest as long as asked for here."""

    def __init__(self, rest_seconds=0.0):
        self.now = 0.0
        self.rests = 0
        self._rest_seconds = rest_seconds
        self._rested = False

    def monotonic(self):
        self.now += self._rest_seconds if self._rested else 2 * _unhurried._WORK_SECONDS
        self._rested = False
        return self.now

    def sleep(self, seconds):
        assert seconds == _unhurried._REST_SECONDS
        self.rests += 1
        self._rested = True


@pytest.mark.parametrize("collect", [Pools.scrape, Pools.export])
def test_a_collection_rests_for_others_but_not_in_the_thread_of_an_event_loop(monkeypatch, collect):
    """After a pool and after a point, wherever its time is up: a thread that only computes keeps the loop's waiting."""
    pools = Pools()
    collect(pools)
    points = sum(not s.name.endswith(("_bucket", "_sum")) for f in pools.registry.collect() for s in f.samples)
    monkeypatch.setattr(_unhurried, "time", SlowClock())
    pools.alive.start()
    collect(pools)
    each = points if collect is Pools.scrape else pools.alive.looks
    assert _unhurried.time.rests == POOLS + each

    async def in_a_loop():
        collect(pools)

    asyncio.run(in_a_loop())
    assert _unhurried.time.rests == POOLS + each


def test_a_collection_that_others_keep_waiting_works_for_as_long_as_it_waited(monkeypatch):
    """Beside threads that compute it would else come to its end too late: for its scraper, or for the histograms that
    an export reads last.
    """
    monkeypatch.setattr(_unhurried, "time", SlowClock(rest_seconds=20 * _unhurried._WORK_SECONDS))
    assert list(_unhurried.unhurried(range(100))) == list(range(100))
    assert 5 <= _unhurried.time.rests <= 10


class Through:
    """A sink that does something before or after each reading of its pools."""

    def __init__(self, sink, before=lambda: None, after=lambda: None):
        self.sink, self.before, self.after = sink, before, after

    def attach(self, pool):
        return self.sink.attach(ReadThrough(pool, self))


class ReadThrough:
    def __init__(self, pool, through):
        self._pool, self._through = pool, through

    def __getattr__(self, name):
        return getattr(self._pool, name)

    def read(self, then=None):
        self._through.before()
        reading = self._pool.read(then)
        self._through.after()
        return reading


def test_a_client_can_be_made_while_a_collection_reads():
    """Whoever makes one, an event loop for example, does not wait until every pool was read."""
    reads, go_on, made = Event(), Event(), Event()
    registry = CollectorRegistry()
    sink = PrometheusSink(registry)

    def hold():
        reads.set()
        go_on.wait(30)

    def make():
        kept.append(InstrumentedSyncTransport(name="second", sinks=[sink]))
        made.set()

    kept = [InstrumentedSyncTransport(name="first", sinks=[Through(sink, before=hold)])]
    threads = [Thread(target=generate_latest, args=(registry,)), Thread(target=make)]
    threads[0].start()
    assert reads.wait(10)
    threads[1].start()
    in_time = made.wait(10)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert in_time
    assert scrape(registry)(c.POOLS) == 2


def test_what_ends_while_a_dropped_pool_is_read_is_counted_by_the_next_collection():
    """A pool is forgotten with the reading of a time when nothing could happen in it any more."""
    registry = CollectorRegistry()
    responses = []

    def end():
        while responses:
            responses.pop().close()

    with Server() as server:
        transport = InstrumentedSyncTransport(name="dropped", sinks=[Through(PrometheusSink(registry), after=end)])
        client = httpx.Client(transport=transport)
        responses.append(client.send(client.build_request("GET", server.url()), stream=True))
        del transport, client
        gc.collect()
        first, *others = [scrape(registry) for _ in range(3)]
        assert (first(c.CHECKOUTS), first(c.CHECKED_OUT), first(c.USE_TIME, "_count")) == (1, 1, 0)
        for seen in others:
            assert (seen(c.CHECKOUTS), seen(c.CHECKED_OUT), seen(c.USE_TIME, "_count")) == (1, 0, 1)
            assert imbalances(seen) == []


def test_samples_are_those_of_the_collection_however_often_and_late_they_are_asked_for():
    """They are made from what was read once, and can be counted and picked like a list."""
    registry = CollectorRegistry()
    transport = InstrumentedSyncTransport(name="one", sinks=[PrometheusSink(registry, opt_in=True)])
    with Server() as server, httpx.Client(transport=transport) as client:
        client.get(server.url())
        client.get(server.url())
        families = list(registry.collect())
        first = [list(family.samples) for family in families]
        client.get(server.url())
        client.get(server.url(), headers={"connection": "close"})
        assert [list(family.samples) for family in families] == first
        assert [list(family.samples) for family in registry.collect()] != first
        for family, samples in zip(families, first, strict=True):
            assert (len(family.samples), family.samples[0], family.samples[-1]) == (
                len(samples),
                samples[0],
                samples[-1],
            )
