"""Law 5: clients that come and go leave counts behind, and nothing else."""

import gc

import httpx
import pytest

from exposing import Both
from harness import Server
from observing import imbalances
from poolscope import InstrumentedSyncTransport
from poolscope import _contract as c
from poolscope._observer import Observer
from poolscope.sinks import _providers, prometheus


def books(both):
    native = prometheus._shared[both.native_registry]._book
    other = _providers.server_of(both.provider)
    return native, other._book, other._measured


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("clients", "read_every"), [(10_000, 0), (3_000, 300)], ids=["unread", "read"])
def test_thousands_of_clients_leave_their_counts_and_nothing_else(clients, read_every):
    """Made and dropped, with and without anybody who reads: the books hold a few pools, not each."""
    context = httpx.create_ssl_context()
    most = 0
    with Both() as both:
        for number in range(1, clients + 1):
            InstrumentedSyncTransport(name="one of many", sinks=both.sinks, verify=context)
            if read_every and number % read_every == 0:
                assert both.native()(c.POOLS_OPENED) == both.reading()(c.POOLS_OPENED) == number
            most = max(most, *map(len, (book._pools for book in books(both)[:2])))
        assert most <= 40
        gc.collect()
        alive = sum(isinstance(thing, Observer) and thing.name == "one of many" for thing in gc.get_objects())
        assert alive <= 80
        for seen in (both.native(), both.reading()):
            assert (seen(c.POOLS_OPENED), seen(c.POOLS), seen(c.IN_USE)) == (clients, 0, 0)
        assert [len(book._pools) for book in books(both)[:2]] == [0, 0]
        assert len(books(both)[2]) == 0


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # httpcore leaves the socket to the collector
def test_a_pool_that_was_collected_keeps_what_it_counted():
    """Its open connections close as dropped; its counters and histograms stay in the sums."""
    with Both() as both, Server() as server:
        for _ in range(3):
            client = httpx.Client(transport=InstrumentedSyncTransport(name="gone", sinks=both.sinks))
            for _ in range(2):
                client.get(server.url())
            del client
            gc.collect()
        for seen in (both.native(), both.reading(), both.native(), both.reading()):
            assert imbalances(seen) == []
            assert seen(c.CHECKOUTS) == seen(c.WAIT_TIME, "_count") == seen(c.USE_TIME, "_count") == 6
            assert seen(c.OPENED) == seen(c.CLOSED, reason="dropped") == 3
            assert seen(c.OPEN_CONNECTIONS) == seen(c.POOLS) == seen(c.IN_USE) == 0
        assert [len(book._pools) for book in books(both)[:2]] == [0, 0]
