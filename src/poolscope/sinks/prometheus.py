"""The Prometheus sink: a collector that reads the pools at each scrape. A request costs it nothing.

In prometheus_client's multi-process mode collectors do not run, so there native metrics are kept (`_multiprocess`).
"""

import logging
from collections.abc import Iterator, Sequence
from typing import Any
from weakref import WeakKeyDictionary, ref

from opentelemetry.trace import format_span_id, format_trace_id
from prometheus_client import REGISTRY, CollectorRegistry, multiprocess
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar, Sample
from prometheus_client.utils import floatToGoString

from poolscope import _contract as c
from poolscope import events as e
from poolscope._locks import new_lock
from poolscope._reading import Reading
from poolscope._subscription import Handlers, ObservedPool, Subscription
from poolscope._tally import Histogram, Point
from poolscope.sinks import _multiprocess, _providers, _rivals
from poolscope.sinks._book import Book
from poolscope.sinks._measurements import MEASURES
from poolscope.sinks._noting import Noting, tracer_is_set
from poolscope.sinks._unhurried import unhurried

logger = logging.getLogger("poolscope")

_shared: "WeakKeyDictionary[CollectorRegistry, Any]" = WeakKeyDictionary()
_lock = new_lock()


class PrometheusSink:
    """Puts the pools' metrics into a prometheus_client registry. Several sinks for one registry are one.

    registry: prometheus_client's global one by default.
    opt_in: also the histograms that are off by default, such as the requests that a connection served; the first sink
    for a registry decides.

    Raises TypeError where the registry is none, ValueError where OpenTelemetry's Prometheus reader already gives the
    same metrics to this registry.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY, *, opt_in: bool = False) -> None:
        if not isinstance(registry, CollectorRegistry):
            raise TypeError(f"registry takes a prometheus_client.CollectorRegistry, got {registry!r}")
        if any(_rivals.serves(provider, registry) for provider in _providers.in_use()):
            raise ValueError(_rivals.MESSAGE)
        self._registry = registry
        with _lock:
            backend = _shared.get(registry)
            if backend is None:
                backend = _shared[registry] = _make(registry, opt_in=opt_in)
                _rivals.native_registries.add(registry)
            elif isinstance(backend, PoolCollector) and not _rivals.collects(registry, backend):
                registry.register(backend)  # somebody has emptied the registry meanwhile
        self._backend = backend
        if opt_in and not backend.opt_in:
            _rivals.tell_opt_in_is_late(repr(self))

    def __repr__(self) -> str:
        return f"PrometheusSink(registry={self._registry!r})"

    def attach(self, pool: ObservedPool, /) -> Handlers | Subscription:
        """Take a pool in. No handlers: the pool is read when it is scraped."""
        wanted: Handlers | Subscription = self._backend.attach(pool)
        return wanted


def child_exit(server: object, worker: Any) -> None:  # noqa: ARG001 - gunicorn's signature
    """Mark a worker as dead, for gunicorn's configuration file: `from poolscope.sinks.prometheus import child_exit`."""
    if _multiprocess.is_on():
        multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def _make(registry: CollectorRegistry, *, opt_in: bool) -> Any:
    if _multiprocess.is_on():
        return _multiprocess.MultiprocessMetrics.of_this_process(opt_in=opt_in)
    return PoolCollector(registry, opt_in=opt_in)


_OPT_IN_EVENTS = (e.ConnectionReused, e.ConnectionClosed)


class PoolCollector(Collector):
    """Reads the pools when the registry is scraped."""

    def __init__(self, registry: CollectorRegistry, *, opt_in: bool) -> None:
        self.opt_in = opt_in
        self._registry = ref(registry)  # weakly: it holds us
        self._metrics = [metric for metric in c.METRICS if opt_in or not metric.opt_in]
        self._book = Book()
        self._opted_in: dict[Point, Histogram] | None = {} if opt_in else None
        self._recording = new_lock()
        self._told = False
        self._noting = Noting()
        registry.register(self)

    def attach(self, pool: ObservedPool) -> Handlers:
        """Take a pool in. Only the opt-in histograms are measured; the state keeps the others."""
        self._book.add(pool)
        self._note_traces([pool])
        return {} if self._opted_in is None else dict.fromkeys(_OPT_IN_EVENTS, self._measure)

    def _note_traces(self, pools: list[ObservedPool]) -> None:
        """Let pools keep exemplars from now on, where there is a tracer; without one a request shall not pay for it."""
        if tracer_is_set():
            for pool in pools:
                pool.trace(self._noting)

    def _measure(self, event: e.Event) -> None:
        for metric, value, labels in MEASURES[type(event)](event):
            if metric.opt_in and self._opted_in is not None:
                with self._recording:
                    self._opted_in.setdefault((metric, labels), Histogram(metric.buckets)).observe(value)

    def describe(self) -> Iterator[Metric]:
        """Name what is collected, so that the registry refuses anybody else's metric of the same name."""
        return iter([_family(metric) for metric in self._metrics])

    def collect(self) -> Iterator[Metric]:
        """Give every metric that has a point."""
        if any(_rivals.serves(provider, self._registry()) for provider in _providers.in_use()):
            if not self._told:
                self._told = True
                logger.error("poolscope: %s; PrometheusSink yields nothing", _rivals.MESSAGE)
            return
        self._note_traces(self._book.pools)
        reading = self._book.read()
        if self._opted_in is not None:
            with self._recording:
                reading.histograms.update((point, known.copy()) for point, known in self._opted_in.items())
        points = reading.by_metric()
        for metric in self._metrics:
            if metric in points:
                family = _family(metric)
                family.samples = _Samples(metric, points[metric], reading)
                yield family


class _Samples(Sequence[Sample]):
    """One metric's samples, each made when it is asked for: all of them at once would start the garbage collector."""

    def __init__(self, metric: c.Metric, points: list[Point], reading: Reading) -> None:
        self._metric = metric
        self._points = points
        self._reading = reading

    def __iter__(self) -> Iterator[Sample]:
        family = _family(self._metric)
        bounds = [floatToGoString(bound) for bound in (*self._metric.buckets, float("inf"))]  # type: ignore[no-untyped-call]
        for point in unhurried(self._points):
            texts = [str(label) for label in point[1]]
            if self._metric.kind == "histogram":
                histogram = self._reading.histograms[point]
                family.add_metric(texts, buckets=_cumulative(histogram, bounds), sum_value=histogram.sum)
            else:
                family.add_metric(texts, self._reading.numbers[point])
            yield from family.samples
            family.samples.clear()

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, index: Any) -> Any:
        return list(self)[index]


def _family(metric: c.Metric) -> Any:
    kinds = {"counter": CounterMetricFamily, "histogram": HistogramMetricFamily}
    labels = [c.prometheus_label(label) for label in metric.labels]
    return kinds.get(metric.kind, GaugeMetricFamily)(metric.prometheus_name, metric.description, labels=labels)


def _cumulative(histogram: Histogram, bounds: list[str]) -> list[Any]:
    """Give a histogram's buckets; with an exemplar where there is one, which only OpenMetrics shows."""
    total = 0
    buckets: list[Any] = []
    exemplars = histogram.exemplars or {}
    for index, (bound, count) in enumerate(zip(bounds, histogram.counts, strict=True)):
        total += count
        bucket = (bound, float(total))
        buckets.append((*bucket, _exemplar(*exemplars[index])) if index in exemplars else bucket)
    return buckets


def _exemplar(value: float, span_context: Any, at: float) -> Exemplar:
    ids = {"trace_id": format_trace_id(span_context.trace_id), "span_id": format_span_id(span_context.span_id)}
    return Exemplar(ids, value, at)
