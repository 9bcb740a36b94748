"""Law 2: a sink that fails costs nobody a request, and no other sink an event."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import anyio
import httpx
import pytest
from prometheus_client import CollectorRegistry

from harness import Server
from observing import imbalances, scrape
from poolscope import InstrumentedSyncTransport, PrometheusSink
from poolscope import events as e
from sinks.everything import EXPECTED, story


class Faulty:
    """Fails at one kind of event, or when it is attached."""

    def __init__(self, kind):
        self.kind = kind
        self.calls = 0

    def __repr__(self):
        return "the faulty sink"

    def attach(self, pool):
        if self.kind is None:
            raise ZeroDivisionError
        return {self.kind: self.fail}

    def fail(self, event):
        self.calls += 1
        raise ZeroDivisionError


class Counting:
    """Counts every kind of event."""

    def __init__(self):
        self.counts = dict.fromkeys(e.EVENTS, 0)

    def attach(self, pool):
        return dict.fromkeys(e.EVENTS, self.count)

    def count(self, event):
        self.counts[type(event)] += 1


def errors(caplog) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "poolscope" and r.levelno >= logging.ERROR]


def test_the_story_has_every_kind_of_event(caplog):
    """Else the tests below would prove nothing for the kind that is missing."""
    counting = Counting()
    assert anyio.run(story, [counting]) == EXPECTED
    assert [kind.__name__ for kind, count in counting.counts.items() if not count] == []
    assert errors(caplog) == []


@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
@pytest.mark.parametrize("kind", [*e.EVENTS, None], ids=lambda kind: kind.__name__ if kind else "attach")
def test_a_raising_sink_is_told_of_once_and_the_others_count_on(kind, first, caplog):
    """At every kind of event in turn, whether the faulty sink stands before or after the others."""
    faulty, counting, registry = Faulty(kind), Counting(), CollectorRegistry()
    others = [counting, PrometheusSink(registry)]
    assert anyio.run(story, [faulty, *others] if first else [*others, faulty]) == EXPECTED
    assert faulty.calls == (0 if kind is None else 1)
    seen = scrape(registry)
    assert imbalances(seen) == []
    for one, name in ((e.CheckoutStarted, "checkouts"), (e.ConnectionOpened, "opened"), (e.ConnectionClosed, "closed")):
        total = f"http_client_connection_{name}_total"
        assert counting.counts[one] == sum(s.value for s in seen.samples if s.name == total) > 0
    told = errors(caplog)
    assert len(told) == 1
    assert "the faulty sink" in told[0]
    assert "'all'" in told[0]
    del counting.counts[e.SlotFreed]  # the log's traceback may hold the slot
    assert all(counting.counts.values())


def test_a_sink_that_fails_in_several_threads_at_once_is_told_of_once(caplog):
    """And what waited for it is dropped, so that no thread calls it again."""
    together = threading.Barrier(4)

    class Together(Faulty):
        def fail(self, event):
            self.calls += 1
            together.wait(10)
            raise ZeroDivisionError

    faulty = Together(e.RequestStarted)
    transport = InstrumentedSyncTransport(name="one", sinks=[faulty])
    with Server() as server, httpx.Client(transport=transport) as client:
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(client.get, [server.url()] * 4))
        client.get(server.url())
    assert (faulty.calls, len(errors(caplog))) == (4, 1)


def test_nothing_is_kept_for_a_sink_that_is_disabled():
    """What nobody will deliver any more is no longer posted: a queue that nobody empties would grow for ever."""
    faulty = Faulty(e.Acquired)
    transport = InstrumentedSyncTransport(name="one", sinks=[faulty])
    with Server() as server, httpx.Client(transport=transport) as client:
        assert len(transport._observer.pool.journal.wanted[e.Acquired]) == 1
        client.get(server.url())
        assert transport._observer.pool.journal.wanted[e.Acquired] == ()


def test_a_raising_sink_is_disabled_for_that_pool_alone(caplog):
    """Each pool's log line stands by itself: another pool may give the sink what it can take."""
    faulty = Faulty(e.PoolClosed)
    for name in ("one", "two"):
        with httpx.Client(transport=InstrumentedSyncTransport(name=name, sinks=[faulty])):
            pass
    assert [line.split("pool ")[1] for line in errors(caplog)] == ["'one'", "'two'"]
