"""Multi-process mode without processes: what its files say is what the pool has counted, its levels are exact."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, values

from ledger import Ledger, key
from multiprocess_desk import Pool, attached, metrics, mode
from poolscope import PrometheusSink
from poolscope import _contract as c
from poolscope import events as e
from poolscope._observer import Observer
from poolscope.sinks import _multiprocess
from poolscope.sinks._multiprocess import MultiprocessMetrics

__all__ = ["metrics", "mode"]

ABSENT = {c.BUSY_TIME, c.OLDEST_PENDING_AGE, c.OLDEST_USE_AGE}
OPT_IN = {c.REQUESTS_SERVED, c.IDLE_TIME}
KINDS = {"counter": Counter, "histogram": Histogram, "updown": Gauge, "gauge": Gauge}


def watched(metrics, *, pooled=True):
    """A real pool's state, whose facts are delivered by `flush`."""
    ledger = Ledger()
    ledger.observer = Observer(ledger.pool, pooled=pooled, clock=lambda: 0.5)
    ledger.owner = ledger.observer.own()
    ledger.feed = metrics.attach(ledger.observer)
    for kind in ledger.feed.handlers:
        ledger.pool.journal.want(kind, ledger.feed.queue.append)
    return ledger


def story(ledger):
    """A cold request, a warm one, two waits that end otherwise, an attempt that fails; another origin's wait."""
    pool = ledger.pool
    request, connection = ledger.request(1.0), ledger.reserve(1.0)
    pool.offer(request, connection, 1.25)
    pool.connect(request, connection, 1.5)
    pool.slots.opened(connection, "1.1", 1.75)
    request.status, request.protocol = 200, "1.1"
    pool.end(request, True, False, 2.0)
    ledger.hold(4.0, connection)
    for at, timed_out in ((5.0, True), (6.0, False)):
        waiting = ledger.request(at, "PUT")
        waiting.cause, waiting.error = c.BURST, "ReadError"
        pool.end(waiting, False, timed_out, at + 0.5)
    failing = ledger.reserve(7.0)
    pool.connect(None, failing, 7.25)
    pool.slots.failed(failing, "ConnectTimeout", 7.5)
    ledger.request(8.0, port=81)
    ledger.feed.flush()


def test_the_mode_is_on_where_its_values_are(mode, monkeypatch):
    """A class of values that does not say is none of the mode's."""
    assert _multiprocess.is_on() is True
    for other in (values.MutexValue, object):
        monkeypatch.setattr(values, "ValueClass", other)
        assert _multiprocess.is_on() is False


@pytest.mark.parametrize("path", [None, "", "nowhere"])
def test_files_need_a_directory(mode, monkeypatch, path):
    """One that exists; the error says what was given."""
    if path is None:
        monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR")
    else:
        monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", path and str(mode.directory / path))
    said = str(mode.directory / path) if path else ""
    with pytest.raises(ValueError, match="takes") as caught:
        MultiprocessMetrics(opt_in=False)
    assert str(caught.value) == f"PROMETHEUS_MULTIPROC_DIR takes a directory that exists, got {said!r}"


@pytest.mark.parametrize("opt_in", [False, True])
def test_the_metrics_are_native_ones_of_no_registry(mode, opt_in):
    """All but those that grow by themselves; those that are off by default where they are asked for."""
    made = MultiprocessMetrics(opt_in=opt_in)._metrics
    assert set(made) == set(c.METRICS) - ABSENT - (set() if opt_in else OPT_IN)
    for metric, native in made.items():
        assert type(native) is KINDS[metric.kind]
        assert native._name == metric.prometheus_name.removesuffix("_total")
        assert native._documentation == metric.description
        assert native._labelnames == tuple(c.prometheus_label(label) for label in metric.labels)
        if metric.kind == "histogram":
            assert native._kwargs["buckets"] == metric.buckets
        assert native._name not in REGISTRY._names_to_collectors


def test_a_process_has_one_set_of_metrics(mode, caplog):
    """The first sink decides what is measured; a registry of this process has none of them."""
    registry = CollectorRegistry()
    first = PrometheusSink(registry, opt_in=True)
    one = MultiprocessMetrics.of_this_process(opt_in=False)
    assert (first._backend, PrometheusSink(CollectorRegistry())._backend) == (one, one)
    assert set(one._metrics) >= OPT_IN
    PrometheusSink(CollectorRegistry(), opt_in=True)
    assert caplog.records == []
    pool = Pool()
    pool.feed = first.attach(pool)
    assert list(registry.collect()) == []
    pool.tell(e.ConnectionReused, 1.0, 3, "1.1", 0.25, origin=("shop", "80"))
    assert mode.counted()[("idle_time",)] == (1, 0.25)


def test_a_pools_series_stand_at_zero_from_the_start(mode, metrics):
    """In three files; the pool's own levels say what it is."""
    ledger = Ledger()
    ledger.request(1.0)
    observer = Observer(ledger.pool)
    owner = observer.own()
    feed = metrics.attach(observer)
    assert owner
    assert set(feed.handlers) == set(e.EVENTS)
    levels = {("max",): 3, ("idle.max",): 2, ("pools",): 1, ("pools.opened",): 1}
    assert mode.counted() == levels
    points = {key(point) for point in (*observer.read().numbers, *observer.read().histograms) if point[0] not in ABSENT}
    assert set(mode.shown()) == points
    kinds = ("counter", "gauge_liveall", "histogram")
    assert sorted(path.name for path in mode.directory.iterdir()) == [f"{kind}_41.db" for kind in kinds]
    assert metrics.attach(observer) == {}
    assert mode.counted() == levels


def test_what_is_counted_is_what_the_pool_has_counted(mode, metrics):
    """Every counter, level and histogram, of each origin, whenever it was first seen."""
    ledger = watched(metrics)
    story(ledger)
    seen = mode.shown()
    where = {key(point) for point in read_of(ledger) if point[0] not in ABSENT}
    assert set(seen) == where
    absent = {key((metric, ()))[0] for metric in ABSENT}
    expected = {tuple(map(str, at)): value for at, value in ledger.counted(8.0).items() if at[0] not in absent}
    assert mode.counted() == expected
    assert seen[("acquisitions", "reused")] == 1
    assert (seen[("checkouts",)], seen["checkouts", "81"]) == (4, 1)
    assert (seen[("pending_requests",)], seen["pending_requests", "81"], seen[("in_use",)]) == (0, 1, 2)
    assert seen["create_time", "ConnectTimeout"] == (1, 0.25)


def test_after_a_fork_the_ends_of_what_began_in_the_parent_are_the_parents(mode, metrics):
    """No level falls below zero: what was open, held, waiting, connecting is left out; what begins in the child counts.

    A whole event is left out, with what it measures, so that the child's numbers balance by themselves.
    """
    ledger = watched(metrics)
    pool = ledger.pool
    held, busy = ledger.hold(1.0)
    waits, quits = ledger.request(1.0, "PUT"), ledger.request(1.0)
    idle, connecting = ledger.idle(1.0), ledger.reserve(1.0)
    pool.slots.connecting(connecting, None, 1.0)
    ledger.feed.flush()
    mode.pid = 42
    pool.slots.failed(connecting, "ConnectError", 2.0)
    pool.end(waits, False, True, 2.0)
    pool.end(quits, False, False, 2.0)
    held.status = 200
    pool.end(held, True, False, 2.0)
    mine, _ = ledger.hold(3.0, idle)
    pool.end(mine, True, False, 4.0)
    for old in (busy, idle):
        pool.slots.closed(old, c.POOL_CLOSED, 5.0)
    ledger.feed.flush()
    assert child(mode) == {
        ("checkouts",): 1,
        ("acquisitions", "reused"): 1,
        ("wait_time",): (1, 0.0),
        ("use_time",): (1, 1.0),
    }
    others = [ledger.hold(5.5)[0] for _ in range(2)]
    for other in others:
        pool.end(other, False, False, 5.5)
        pool.slots.closed(other.connection, c.POOL_CLOSED, 5.5)
    theirs, new = ledger.hold(6.0)
    ledger.feed.flush()
    assert (child(mode)[("checked_out",)], child(mode)[("open_connections", "active", "1.1")]) == (1, 1)
    metrics._begin_anew()
    pool.end(theirs, True, False, 7.0)
    pool.slots.closed(new, c.POOL_CLOSED, 8.0)
    ledger.feed.flush()
    seen = child(mode)
    assert (seen["opened",], seen["closed", c.POOL_CLOSED], seen["use_time",]) == (3, 3, (4, 2.0))
    assert [at for at in seen if at[0] in ("open_connections", "checked_out", "pending_requests")] == []


def child(mode):
    """What the child's files say beside the pool's own levels, and beside the parent's, which are as they were."""
    own = {path: path.rename(path.with_suffix(".other")) for path in mode.directory.glob("*_41.db")}
    seen = mode.counted()
    for path, other in own.items():
        other.rename(path)
    of_pools = {"in_use", "max", "idle.max", "pools", "request.duration"}
    return {at: value for at, value in seen.items() if at[0] not in of_pools}


def test_events_are_counted_in_their_order_by_one_thread_at_a_time(mode, metrics):
    """Who comes while another counts leaves his to that one; one that fails keeps nobody from it after."""
    pool = attached(metrics, Pool(origins=[("shop", "80")]))
    feed, order = pool.feed, []
    started, timed_out = (
        e.CheckoutStarted("pool", "shop", "80", 1.0),
        e.TimedOut("pool", "shop", "80", 1.0, 0.0, c.BURST),
    )

    def count(feed, event):
        order.append(("begins", event))
        if event is started:
            feed.queue.append(timed_out)
            with ThreadPoolExecutor(1) as other:
                other.submit(feed.flush).result()
            feed.flush()
        order.append(("ends", event))

    metrics.count = count
    feed.queue.append(started)
    feed.flush()
    assert order == [("begins", started), ("ends", started), ("begins", timed_out), ("ends", timed_out)]
    metrics.count = None
    feed.queue.append(started)
    with pytest.raises(TypeError):
        feed.flush()
    metrics.count = lambda feed, event: order.append(event)
    feed.queue.append(timed_out)
    feed.flush()
    assert order[4:] == [timed_out]


def read_of(ledger):
    reading = ledger.observer.read()
    points = (*reading.numbers, *reading.histograms)
    return [(metric, tuple(map(str, labels))) for metric, labels in points]


def test_the_levels_are_those_of_the_fullest_live_pool(mode, metrics):
    """Of as many as have the name; a closed one is less full than an empty one."""
    small, large = attached(metrics, Pool(limits=(2, 1)), Pool(limits=(10, 5)))
    other = attached(metrics, Pool("other", limits=(9, 9)))

    def levels(*in_use):
        small.in_use, large.in_use = in_use
        metrics.set_levels("pool")
        return tuple(mode.level(metric) for metric in (c.IN_USE, c.MAX, c.IDLE_MAX, c.POOLS))

    assert levels(1, 4) == (1, 2, 1, 2)
    assert levels(1, 6) == (6, 10, 5, 2)
    small.live = False
    assert levels(2, 0) == (0, 10, 5, 1)
    large.live = False
    assert levels(2, 0) == (2, 2, 1, 0)
    assert mode.level(c.MAX, "other") == 9
    assert other.looks == 0


@pytest.mark.parametrize(
    ("limits", "live", "fullness"),
    [((4, 2), True, 0.75), ((4, 0), True, 0.75), ((0, 2), True, 0.0), ((4, 2), False, -1.0), (None, True, -1.0)],
)
def test_how_full_a_pool_is(metrics, limits, live, fullness):
    """One that has no room is empty; one that cannot be used, or seen, is less than that."""
    pool = attached(metrics, Pool(limits=limits))
    pool.live, pool.feed.in_use = live, 3
    assert pool.feed.fullness() == fullness


def test_levels_are_set_when_the_use_changes_and_when_a_pool_opens_or_closes(mode, metrics):
    """Not with every event."""
    pool = attached(metrics, Pool())
    pool.live = False
    pool.pass_time(0.25)
    assert (mode.level(c.POOLS), mode.level(c.IN_USE)) == (1, 0)
    pool.tell(e.PoolClosed, 0.25)
    assert mode.level(c.POOLS) == 0
    pool.live = True
    pool.tell(e.PoolOpened, 0.25, 4, 2)
    assert mode.level(c.POOLS) == 1
    pool.in_use = 3
    pool.pass_time(0.25)
    assert (mode.level(c.POOLS), mode.level(c.IN_USE)) == (1, 3)


def test_a_transport_without_a_pool_has_whole_requests_alone(mode, metrics):
    """No levels, whatever it tells; no slot of it is in use."""
    ledger = watched(metrics, pooled=False)
    request = ledger.request(1.0, pooled=False)
    ledger.feed.flush()
    assert (ledger.feed.limits, ledger.feed.in_use) == (None, 0)
    assert mode.shown()[("active_requests", "GET")] == 1
    request.status = 200
    ledger.pool.end(request, True, False, 3.0)
    ledger.feed.flush()
    ledger.feed.handlers[e.PoolClosed](e.PoolClosed("pool", "", "", 4.0))
    seen = mode.shown()
    assert seen[("active_requests", "GET")] == 0
    assert {name for name, *_ in seen if name in ("in_use", "max", "idle.max", "pools", "pools.opened")} == set()
