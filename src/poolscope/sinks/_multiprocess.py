"""prometheus_client's multi-process mode: custom collectors do not run there, so native metrics are kept.

1. Gauges are `liveall`: each worker's with its `pid`, because a sum hides one full worker of four. Counters and
   histograms carry no `pid`. `busy_time` and the ages, which grow by themselves, are absent.
2. The metrics stand in no registry of this process: an exposition reads every worker's from the files, once.
3. A pool that ended is forgotten as soon as it is at rest; what it counted stays.
4. After a fork the child's metrics begin at zero, though its pools do not. What began before is the parent's: the child
   leaves out its end, which is an event that would take a level below zero. So the equations hold over all processes.

What nobody reports (a client that was dropped unclosed, a slot that was lost) is found with the next event of any pool,
at most once in `_SWEEP_SECONDS`, or when the next pool is made.
"""

import os
from collections import Counter as Counts
from typing import Any, ClassVar

from prometheus_client import Counter, Gauge, Histogram, values

from poolscope import _contract as c
from poolscope._locks import new_lock
from poolscope._reading import Reading
from poolscope._subscription import Handlers, ObservedPool, Subscription
from poolscope._tally import LabelValues, Point
from poolscope.events import EVENTS, Event, PoolClosed, PoolOpened
from poolscope.sinks._changes import CHANGES, Change
from poolscope.sinks._measurements import MEASURES

_ABSENT = frozenset({c.BUSY_TIME, c.OLDEST_PENDING_AGE, c.OLDEST_USE_AGE})
_LEVELS_OF_POOLS = (c.IN_USE, c.MAX, c.IDLE_MAX, c.POOLS)
_SWEEP_SECONDS = 1.0
_FEW = 32
"""So many pools are looked at whenever one is made; more of them only each time their number has doubled."""


def is_on() -> bool:
    """Whether prometheus_client chose its multi-process mode when it was imported."""
    return bool(getattr(values.ValueClass, "_multiprocess", False))


class MultiprocessMetrics:
    """The native metrics of this process. There is one, `of_this_process`: two would write over each other.

    opt_in: also the histograms that are off by default.
    Raises ValueError where PROMETHEUS_MULTIPROC_DIR is no directory.
    """

    _one: "ClassVar[MultiprocessMetrics | None]" = None

    @classmethod
    def of_this_process(cls, *, opt_in: bool) -> "MultiprocessMetrics":
        """Give the one there is. The first to ask decides on `opt_in`."""
        if cls._one is None:
            cls._one = cls(opt_in=opt_in)
        return cls._one

    def __init__(self, *, opt_in: bool) -> None:
        path = os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")
        if not os.path.isdir(path):  # noqa: PTH112 - the variable is a string, as prometheus_client takes it
            raise ValueError(f"PROMETHEUS_MULTIPROC_DIR takes a directory that exists, got {path!r}")
        self.opt_in = opt_in
        self._metrics = {
            metric: _native(metric) for metric in c.METRICS if metric not in _ABSENT and (opt_in or not metric.opt_in)
        }
        self._points: dict[Point, Any] = {}
        self._known: set[tuple[str, str, str]] = set()
        self._feeds: dict[str, list[_Feed]] = {}
        self._lock = new_lock()
        self._pid = os.getpid()
        self._since_fork: Counts[Point] | None = None  # of the process that made this
        self._sweep_at = 0.0
        self._sweep_over = _FEW

    def attach(self, pool: ObservedPool) -> Handlers | Subscription:
        """Take a pool in: its series stand at zero from now on. A second time changes nothing."""
        with self._lock:
            if any(feed.pool is pool for feed in self._feeds.get(pool.name, ())):
                return {}
        feed = _Feed(self, pool, self._announce(pool))
        with self._lock:
            self._feeds.setdefault(pool.name, []).append(feed)
            pools = sum(map(len, self._feeds.values()))
        if feed.limits is not None:
            self._point(c.POOLS_OPENED, (pool.name,)).inc()
            self.set_levels(pool.name)
        if pools <= _FEW or pools > self._sweep_over:
            self._sweep()
        return feed

    def count(self, feed: "_Feed", event: Event) -> None:
        """Take one event in."""
        if (event.pool, event.address, event.port) not in self._known:
            self._announce(feed.pool)
        if self._pid != os.getpid():
            self._begin_anew()
        kind = type(event)
        changes = list(CHANGES[kind](event)) if kind in CHANGES else []
        if self._began_here(changes):
            for metric, labels, step in changes:
                self._point(metric, labels).inc(step)
            for metric, value, labels in MEASURES[kind](event) if kind in MEASURES else ():
                if metric in self._metrics:
                    self._point(metric, labels).observe(value)
        if feed.limits is not None and (kind in (PoolOpened, PoolClosed) or feed.in_use != feed.pool.in_use):
            self.set_levels(event.pool)
        self._look_around(event.at)

    def set_levels(self, name: str) -> None:
        """Say of the pools of this name how many live, and how full the fullest is."""
        with self._lock:
            feeds = [feed for feed in self._feeds[name] if feed.limits is not None]
            live = sum(feed.pool.live for feed in feeds)
            for feed in feeds:
                feed.in_use = feed.pool.in_use
            fullest = max(feeds, key=_Feed.fullness, default=None)
            self._point(c.IN_USE, (name,)).set(fullest.in_use if fullest else 0)
            self._point(c.POOLS, (name,)).set(live)
            if fullest is not None and fullest.limits is not None:
                self._point(c.MAX, (name,)).set(fullest.limits[0])
                self._point(c.IDLE_MAX, (name,)).set(fullest.limits[1])

    def _begin_anew(self) -> None:
        """Take in that there was a fork: prometheus_client begins anew, and so do the levels of inherited pools."""
        with self._lock:
            if self._pid == os.getpid():  # another thread was faster
                return
            self._pid = os.getpid()
            self._since_fork = Counts()
            for name, feeds in list(self._feeds.items()):
                if any(feed.limits is not None for feed in feeds):
                    self.set_levels(name)

    def _began_here(self, changes: list[Change]) -> bool:
        """Whether what changes began in this process; note it, where there was a fork."""
        with self._lock:
            known = self._since_fork
            if known is None:
                return True
            if any(known[metric, labels] + step < 0 for metric, labels, step in changes):
                return False
            for metric, labels, step in changes:
                known[metric, labels] += step
        return True

    def _look_around(self, now: float) -> None:
        if now >= self._sweep_at:
            self._sweep_at = now + _SWEEP_SECONDS
            self._sweep()

    def _sweep(self) -> None:
        """Look at the pools in use; hear the last words of those that nobody can use any more, and forget them."""
        with self._lock:
            feeds = [feed for several in self._feeds.values() for feed in several]
        left = len(feeds)
        for feed in feeds:
            owned = feed.pool.owned
            if owned and not feed.pool.in_use:
                continue
            feed.pool.snapshot()
            feed.flush()
            if owned:
                continue
            if feed.pool.over:
                left -= 1
                with self._lock:
                    if feed in self._feeds[feed.pool.name]:
                        self._feeds[feed.pool.name].remove(feed)
            if feed.limits is not None:
                self.set_levels(feed.pool.name)
        self._sweep_over = 2 * left

    def _announce(self, pool: ObservedPool) -> Reading:
        """Let every series of the pool exist, at zero where nothing was counted."""
        reading = pool.read()
        for metric, labels in (*reading.numbers, *reading.histograms):
            if metric in self._metrics and metric not in _LEVELS_OF_POOLS:
                self._point(metric, labels)
                if c.ADDRESS in metric.labels:
                    self._known.add((pool.name, *_origin(metric, labels)))
        return reading

    def _point(self, metric: c.Metric, labels: LabelValues) -> Any:
        point = self._points.get((metric, labels))
        if point is None:
            point = self._points[metric, labels] = self._metrics[metric].labels(*labels)
        return point


class _Feed(Subscription):
    """One pool's events on their way to the metrics. limits: max and idle.max, None where no pool can be seen."""

    def __init__(self, metrics: MultiprocessMetrics, pool: ObservedPool, reading: Reading) -> None:
        super().__init__(dict.fromkeys(EVENTS, self._take))
        numbers, key = reading.numbers, (pool.name,)
        self.limits = (numbers[c.MAX, key], numbers[c.IDLE_MAX, key]) if (c.MAX, key) in numbers else None
        self.pool = pool
        self.in_use = 0
        self._metrics = metrics
        self._turn = new_lock(again=False)

    def flush(self) -> None:
        """Deliver what waits, in its order: one thread does it for all that come, so no end is before its start."""
        while self.queue and self._turn.acquire(blocking=False):
            try:
                super().flush()
            finally:
                self._turn.release()

    def fullness(self) -> float:
        """Give the pool's utilization; less than nothing where it is not live."""
        if self.limits is None or not self.pool.live:
            return -1.0
        return self.in_use / self.limits[0] if self.limits[0] else 0.0

    def _take(self, event: Event) -> None:
        self._metrics.count(self, event)


def _origin(metric: c.Metric, labels: LabelValues) -> tuple[str, str]:
    at = metric.labels.index(c.ADDRESS)
    return str(labels[at]), str(labels[at + 1])


def _native(metric: c.Metric) -> Any:
    labels = [c.prometheus_label(label) for label in metric.labels]
    name, text = metric.prometheus_name, metric.description
    if metric.kind == "counter":
        return Counter(name, text, labels, registry=None)
    if metric.kind == "histogram":
        return Histogram(name, text, labels, registry=None, buckets=metric.buckets)
    return Gauge(name, text, labels, registry=None, multiprocess_mode="liveall")
