"""What sinks make of the facts adds up to what the pool has counted; a log's lines say each fact's own numbers."""

import logging
import time
from collections import Counter
from types import SimpleNamespace

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from ledger import Ledger
from poolscope import LoggingSink
from poolscope import _contract as c
from poolscope import events as e
from poolscope._reading import Reading, read
from poolscope._tally import Histogram
from poolscope.sinks._book import Book
from poolscope.sinks._changes import CHANGES
from poolscope.sinks._measurements import MEASURES, NO_TRACE, PlainRecorder, attributes, measured_events
from poolscope.sinks._noting import Note, Noting, tracer_is_set

NAMED = e.ConnectFailed("billing", "shop", "80", 9.0, 3, 0.25, "ConnectTimeout")


def everything():
    """A ledger in which everything has happened that a fact tells of, each a different number of times."""
    ledger = Ledger(connections=20)
    pool = ledger.pool
    pool.losses.kept, pool.losses.held_too_long_seconds = lambda: ledger.kept, 500.0
    at = iter(range(1, 1000))
    for _ in range(3):  # cold
        request, connection = ledger.request(next(at)), ledger.reserve(next(at))
        pool.offer(request, connection, next(at))
        pool.connect(request, connection, next(at))
        pool.slots.opened(connection, "1.1", next(at))
        request.status, request.protocol = 200, "1.1"
        pool.end(request, True, False, next(at))
    for _ in range(4):  # warm, and back; early requeues
        request = ledger.request(next(at), "HEAD")
        pool.offer(request, connection, next(at))
        pool.withdraw(request, next(at))
        pool.offer(request, connection, next(at))
        pool.write(request, connection, next(at))
        pool.end(request, True, False, next(at))
    for _ in range(2):  # HTTP/2, a late requeue, a hold that goes on
        request, newer = ledger.request(next(at)), ledger.open(next(at), "2")
        pool.offer(request, newer, next(at))
        pool.write(request, newer, next(at))
        pool.withdraw(request, next(at))
    pool.offer(request, newer, next(at))
    pool.write(request, newer, next(at))
    for n in range(5):  # waits that end otherwise, one that does not
        request = ledger.request(next(at), "PUT")
        request.cause, request.error = c.BURST, "ReadError"
        pool.end(request, False, n < 2, next(at))
    ledger.request(next(at))
    failing = ledger.reserve(next(at))
    for _ in range(3):  # attempts that fail, one under way
        pool.connect(None, failing, next(at))
        pool.slots.failed(failing, "ConnectTimeout", next(at))
    pool.connect(None, failing, next(at))
    pool.slots.closed(connection, c.KEEPALIVE_EXPIRED, next(at))
    lost = [ledger.open(next(at)) for _ in range(3)]
    pool.losses.look(pool.checkouts.copy(), next(at))
    pool.slots.closed(lost[0], c.FAILED, next(at))
    pool.losses.look(pool.checkouts.copy(), next(at) + 500)
    pool.losses.collected(2, next(at))
    return ledger


def test_what_events_change_is_what_the_pool_has_counted():
    """Counters and levels, for every label set: a sink that adds up changes shows what one that reads shows."""
    ledger = everything()
    summed = Counter()
    for fact in ledger.told:
        for metric, labels, step in CHANGES.get(type(fact), lambda _: ())(fact):
            summed[metric, labels] += step
    seen = read(ledger.pool, True, True, 2000.0).numbers
    kept_by_events = {metric for metric, _ in summed}
    assert len(kept_by_events) == 14
    assert {at: value for at, value in summed.items() if value} == {
        (metric, labels): value for (metric, labels), value in seen.items() if metric in kept_by_events and value
    }
    assert set(summed) <= set(seen)


def test_what_events_measure_is_what_the_pool_has_measured():
    """Each histogram's values and labels; those that are asked for alone have the numbers of the story."""
    ledger = everything()
    measured = {}
    for fact in ledger.told:
        for metric, value, labels in MEASURES.get(type(fact), lambda _: ())(fact):
            measured.setdefault((metric, labels), Histogram(metric.buckets)).observe(value)
    seen = read(ledger.pool, True, True, 2000.0).histograms
    wanted = {at: (h.counts, h.sum) for at, h in seen.items() if h.count}
    assert {at: (h.counts, h.sum) for at, h in measured.items() if not at[0].opt_in} == wanted
    where = ("pool", "shop", "80")
    served, idle = (measured[metric, where] for metric in (c.REQUESTS_SERVED, c.IDLE_TIME))
    assert (served.count, served.sum) == (2, 5)
    assert (idle.count, idle.sum) == (4, 4 * 5)


def test_the_events_of_an_opt_in_measure_are_asked_for_where_it_is_wanted():
    """One event carries nothing else."""
    assert set(measured_events(opt_in=True)) - set(measured_events(opt_in=False)) == {e.ConnectionReused}
    assert len(measured_events(opt_in=True)) == 10


def test_a_port_is_a_number_in_attributes():
    """Where it is one: not past the cap, not where there is none; no other label is changed."""
    where = ("7", "shop", "80")
    assert attributes(c.WAIT_TIME, where) == {c.POOL: "7", c.ADDRESS: "shop", c.PORT: 80}
    assert attributes(c.WAIT_TIME, ("p", c.OTHER, c.OTHER))[c.PORT] == c.OTHER
    assert attributes(c.WAIT_TIME, ("p", "", ""))[c.PORT] == ""
    with pytest.raises(ValueError, match="shorter"):
        attributes(c.WAIT_TIME, ("p", "shop"))


def test_a_plain_request_is_recorded_in_one_go():
    """Its wait beside its trace, its use and duration beside none; the duration not where another answers for it."""
    recorded = []

    class Instrument:
        def __init__(self, metric):
            self.metric = metric

        def record(self, value, attributes, context):
            recorded.append((self.metric, value, attributes, context))

    metrics = (c.WAIT_TIME, c.USE_TIME, c.REQUEST_DURATION)
    record = PlainRecorder({metric: Instrument(metric) for metric in metrics}, "pool")
    ledger = Ledger()
    connection = ledger.idle(0.0)
    request = ledger.guest(3.0, connection, "BREW", entered=2.0)
    record(request)
    assert recorded == [], "it has not ended"
    ledger.leave(request, 7.0, 418)
    record(request)
    where = {c.POOL: "pool", c.ADDRESS: "shop", c.PORT: 80}
    kind = {c.METHOD: c.OTHER, c.ADDRESS: "shop", c.PORT: 80, c.STATUS: 418, c.ERROR: "418", c.PROTOCOL: "1.1"}
    assert recorded == [
        (c.WAIT_TIME, 1.0, where, NO_TRACE),
        (c.USE_TIME, 4.0, where, NO_TRACE),
        (c.REQUEST_DURATION, 5.0, kind, NO_TRACE),
    ]
    request.measured_elsewhere, request.trace = True, SimpleNamespace(context="mine")
    before, recorded[:] = list(recorded), []
    record(request)
    assert [one[0] for one in recorded] == [c.WAIT_TIME, c.USE_TIME]
    assert (recorded[0][3], recorded[1][3]) == ("mine", NO_TRACE)
    assert recorded[0][2] is before[0][2], "label sets are made once"
    request.connection = None
    record(request)
    assert len(recorded) == 2


@pytest.mark.parametrize(
    ("fact", "level", "line"),
    [
        (
            e.TimedOut("billing", "shop", "80", 9.0, 1.5, c.BURST),
            logging.WARNING,
            "pool billing: PoolTimeout after 1.500 s for shop:80: burst (the picture)",
        ),
        (
            e.Acquired("billing", "shop", "80", 9.0, c.NEW, 2.0, 3),
            logging.WARNING,
            "pool billing: waited 2.000 s for a connection to shop:80",
        ),
        (e.Acquired("billing", "shop", "80", 9.0, c.NEW, 1.75, 3), None, ""),
        (NAMED, logging.WARNING, "pool billing: connecting to shop:80 failed after 0.250 s: ConnectTimeout"),
        (
            e.ConnectionOpened("billing", "shop", "80", 9.0, 3, 0.25, "2"),
            logging.DEBUG,
            "pool billing: connection 3 to shop:80 opened in 0.250 s (HTTP/2)",
        ),
        (
            e.ConnectionClosed("billing", "shop", "80", 9.0, 3, c.EVICTED, 4.5, "1.1", False, 7),
            logging.DEBUG,
            "pool billing: connection 3 to shop:80 closed (evicted) after 4.500 s and 7 requests",
        ),
        (e.PoolClosed("billing", "", "", 9.0), logging.INFO, "pool billing: closed"),
    ],
)
def test_each_line_of_the_log_says_its_facts(fact, level, line, caplog):
    """Slow is as long as it was told; the level says how bad it is."""
    caplog.set_level(logging.DEBUG)
    sink = LoggingSink(logging.getLogger("of.ours"), slow_seconds=2)
    sink.attach(SimpleNamespace(snapshot=lambda: "the picture"))[type(fact)](fact)
    assert [(r.name, r.levelno, r.getMessage()) for r in caplog.records] == (
        [("of.ours", level, line)] if level else []
    )
    assert repr(sink) == "LoggingSink(logger='of.ours')"
    assert repr(LoggingSink()) == "LoggingSink(logger='poolscope.pool')"


def test_a_logging_sink_looks_at_the_pool_now_and_then(caplog):
    """A thousand requests may time out at once; a picture is a tenth of a second old at most."""
    pictures = iter(["first", "second"])
    handlers = LoggingSink().attach(SimpleNamespace(snapshot=lambda: next(pictures)))
    for at in (0.0, 0.05, 0.1, 0.15):
        handlers[e.TimedOut](e.TimedOut("p", "shop", "80", at, 1.0, c.UNREAD))
    said = [record.getMessage().rpartition("(")[2] for record in caplog.records]
    assert said == ["first)", "first)", "second)", "second)"]


def test_a_logging_sink_says_what_it_takes():
    """Zero seconds are fine; what is no number, or negative, or no logger, is told with its value."""
    assert LoggingSink(slow_seconds=0)
    for wrong in (-1, float("nan"), "1", None):
        with pytest.raises(ValueError, match=r"^slow_seconds takes seconds, .* got " + repr(wrong)):
            LoggingSink(slow_seconds=wrong)
    with pytest.raises(TypeError, match=r"^logger takes a logging.Logger, got 'mine'$"):
        LoggingSink("mine")
    default = LoggingSink()
    fact = e.Acquired("p", "shop", "80", 9.0, c.NEW, 0.9375, 3)
    seen = []
    handler = logging.Handler()
    handler.emit = seen.append
    logging.getLogger("poolscope.pool").addHandler(handler)
    try:
        default.attach(None)[e.Acquired](fact)
        assert seen == []
        default.attach(None)[e.Acquired](e.Acquired("p", "shop", "80", 9.0, c.NEW, 1.0, 3))
        assert len(seen) == 1
    finally:
        logging.getLogger("poolscope.pool").removeHandler(handler)


@pytest.mark.parametrize(("recording", "sampled"), [(True, True), (True, False), (False, True)])
def test_a_noted_request_has_the_current_spans_name(recording, sampled):
    """Where the span records; its context stands for an exemplar only where it is sampled."""
    context = SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED if sampled else 0))

    class Span(NonRecordingSpan):
        def is_recording(self):
            return recording

    noting, checkout = Noting(), Ledger().request(1.0)
    assert noting.awake(0.0) is True
    assert noting.enter(checkout, "handle", "request", "pool") == ("handle", "request", None)
    with trace.use_span(Span(context)):
        noting.inside(checkout, "request", "pool")
        if not recording:
            assert checkout.trace is None
            return
        assert isinstance(checkout.trace, Note)
    assert trace.get_current_span(checkout.trace.context).get_span_context() is context
    assert checkout.trace.span_context is (context if sampled else None)
    assert abs(checkout.trace.epoch + time.monotonic() - time.time()) < 60
    assert checkout.trace.ended(checkout) is None


def test_there_is_a_tracer_once_a_program_has_set_one_up(monkeypatch):
    """Neither the API's own stand-in nor one that does nothing is one. The line of a log names the sink."""
    for provider, told in (
        (trace.ProxyTracerProvider(), False),
        (trace.NoOpTracerProvider(), False),
        (TracerProvider(), True),
    ):
        monkeypatch.setattr(trace, "get_tracer_provider", lambda provider=provider: provider)
        assert tracer_is_set() is told
    assert repr(Noting()) == "PrometheusSink()"


class FakePool:
    """A pool for a book: counts how often it is read."""

    def __init__(self, count, *, owned=True, over=True):
        self.count, self.owned, self.over, self.reads, self.cuts = count, owned, over, 0, []

    def read(self, then=None):
        self.reads += 1
        if then is not None:
            then()
        return Reading({(c.CHECKOUTS, ("pool", "shop", "80")): self.count})


def total(book):
    return book.read().numbers.get((c.CHECKOUTS, ("pool", "shop", "80")), 0)


def test_a_book_sums_its_pools_and_keeps_what_the_gone_ones_counted():
    """A pool that nobody owns and that is at rest goes, once, and its last count stays."""
    cuts, gone = [], []
    book = Book(lambda pool: lambda: cuts.append(pool), gone.append)
    here, leaving, busy = FakePool(1), FakePool(10, owned=False), FakePool(100, owned=False, over=False)
    for pool in (here, leaving, busy, here):
        book.add(pool)
    assert book.pools == [here, leaving, busy]
    assert total(book) == 111
    assert (book.pools, gone, cuts) == ([here, busy], [leaving], [here, leaving, busy])
    assert total(book) == 111
    assert (here.reads, leaving.reads) == (2, 1)
    busy.over = True
    assert total(book) == total(book) == 111
    assert (book.pools, gone) == ([here], [leaving, busy])
    assert total(Book()) == 0


def test_a_book_that_nobody_reads_lets_pools_go_by_itself():
    """Past thirty-two pools those that are over are counted and let go; then past twice as many as are left."""
    book = Book()
    owned = [FakePool(1) for _ in range(20)]
    gone = [FakePool(1, owned=False) for _ in range(12)]
    for pool in (*owned, *gone):
        book.add(pool)
    assert len(book.pools) == 32
    assert {pool.reads for pool in (*owned, *gone)} == {0}
    book.add(FakePool(1))
    assert len(book.pools) == 21
    assert {pool.reads for pool in owned} == {0}
    for _ in range(21):
        book.add(FakePool(1, owned=False))
    assert len(book.pools) == 42, "twice what was left"
    book.add(FakePool(1, owned=False))
    assert len(book.pools) == 21
    assert total(book) == 55
