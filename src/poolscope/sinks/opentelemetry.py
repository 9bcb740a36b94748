"""The OpenTelemetry sink: observable counters and levels read from the pools, histograms recorded through the SDK.

1. One collection tells one story: its first callback reads every pool at one moment and records what was measured up
   to it; what is measured after it stays in the queues until the collection is surely over.
2. Without an SDK nothing is subscribed and nothing costs. When one is set up later, its first look at our instruments
   (it advances the generator callback) subscribes the pools.
"""

import time
from collections.abc import Generator, Iterable, Iterator
from typing import Any
from weakref import WeakKeyDictionary

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Histogram, MeterProvider, Observation
from opentelemetry.trace import TracerProvider

from poolscope import _contract as c
from poolscope._locks import new_lock
from poolscope._reading import Reading
from poolscope._records import Checkout
from poolscope._subscription import Handlers, ObservedPool, Subscription
from poolscope._tally import Point
from poolscope.events import Event, RequestEnded
from poolscope.sinks import _providers, _rivals
from poolscope.sinks._book import Book, Cut
from poolscope.sinks._measurements import MEASURES, NO_TRACE, PlainRecorder, attributes, measured_events
from poolscope.sinks._tracing import Mode, Tracing, Until
from poolscope.sinks._unhurried import unhurried

_BATCH = 24
"""Events and plain requests that wait before they are recorded: so few that it blocks for milliseconds only."""
_HELD_AT_MOST = 4096
"""Measurements that may wait for a collection to be over. Those past it, and these later, are recorded in batches."""
_COLLECTION_SECONDS = 2.0
"""How long after a callback of ours a collection may still read the histograms: long, for a machine that is busy."""

_lock = new_lock()


class OpenTelemetrySink:
    """Puts the pools' metrics and spans into OpenTelemetry. Several sinks for one meter provider have its metrics once.

    meter_provider, tracer_provider: the global ones by default; without an SDK nothing happens.
    opt_in: also the histograms that are off by default, such as the requests that a connection served; the first sink
    for a provider decides.
    spans: "spans", or "events" on the request's span instead, or "off": then no span is ours, the client span neither.
    client_span_ends: with the response's "body", or at its "headers", as OpenTelemetry's own instrumentation ends it.
    redact_query_keys: keys whose values `url.full` hides, beside those that OpenTelemetry names.

    Where several sinks of one pool would make spans, the first does.
    Raises TypeError or ValueError naming the argument; ValueError, too, where a PrometheusSink already gives the same
    metrics to the registry of this provider's reader.
    """

    def __init__(
        self,
        meter_provider: MeterProvider | None = None,
        tracer_provider: TracerProvider | None = None,
        *,
        opt_in: bool = False,
        spans: Mode = "spans",
        client_span_ends: Until = "body",
        redact_query_keys: Iterable[str] = (),
    ) -> None:
        provider = metrics.get_meter_provider() if meter_provider is None else meter_provider
        if not callable(getattr(provider, "get_meter", None)):
            raise TypeError(f"meter_provider takes an OpenTelemetry MeterProvider, got {meter_provider!r}")
        if any(_rivals.serves(provider, registry) for registry in _rivals.native_registries):
            raise ValueError(_rivals.MESSAGE)
        with _lock:
            known: _Backend | None = _providers.server_of(provider)
            backend = known or _providers.serve(provider, _Backend(provider, opt_in=opt_in))
        self._backend = backend
        if opt_in and not backend.opt_in:
            _rivals.tell_opt_in_is_late(repr(self))
        self._tracing = Tracing(
            tracer_provider,
            mode=spans,
            until=client_span_ends,
            redact=redact_query_keys,
            measuring=backend.is_active,
        )

    def __repr__(self) -> str:
        return repr(self._backend)

    def attach(self, pool: ObservedPool, /) -> Handlers | Subscription:
        """Take a pool in."""
        pool.trace(self._tracing)
        return self._backend.attach(pool)


class _Backend:
    """The instruments of one meter provider."""

    def __init__(self, provider: MeterProvider, *, opt_in: bool) -> None:
        self.opt_in = opt_in
        self._metrics = [metric for metric in c.METRICS if opt_in or not metric.opt_in]
        self._name = f"OpenTelemetrySink(meter_provider={provider!r})"  # not the provider: it may go, and we with it
        self._measured: WeakKeyDictionary[ObservedPool, _Measured] = WeakKeyDictionary()
        self._book = Book(self._cut, self._gone)
        self._reading: Reading
        self._points: dict[c.Metric, list[Point]]
        self._served = set(self._metrics)  # all: whichever is asked for first collects
        self._active = False
        self.hold_until = 0.0
        meter = provider.get_meter("poolscope")
        self.histograms: dict[c.Metric, Histogram] = {
            metric: meter.create_histogram(
                metric.name, metric.unit, metric.description, explicit_bucket_boundaries_advisory=metric.buckets
            )
            for metric in self._metrics
            if metric.kind == "histogram"
        }
        make: dict[str, Any] = {
            "counter": meter.create_observable_counter,
            "updown": meter.create_observable_up_down_counter,
            "gauge": meter.create_observable_gauge,
        }
        for metric in self._metrics:
            if metric.kind != "histogram":
                make[metric.kind](metric.name, [self._callback(metric)], metric.unit, metric.description)

    def __repr__(self) -> str:
        return self._name

    def is_active(self) -> bool:
        """Whether an SDK has taken the instruments on."""
        return self._active

    def attach(self, pool: ObservedPool, /) -> Handlers | Subscription:
        """Take a pool in; give the subscription once there is an SDK to measure for."""
        self._book.add(pool)
        if not self._active or pool in self._measured:
            return {}
        measured = self._measured[pool] = _Measured(self, pool.name)
        return measured

    def _callback(self, metric: c.Metric) -> Generator[Iterable[Observation], CallbackOptions, None]:
        """Answer an SDK's collections. An SDK advances it to its first yield when it takes the instrument on."""
        self._activate()
        yield ()
        while True:
            yield self._observations(metric)

    def _activate(self) -> None:
        if not self._active:
            self._active = True
            for pool in self._book.pools:
                pool.subscribe([self])

    def _observations(self, metric: c.Metric) -> Iterator[Observation]:
        if metric in self._served:
            self._collect()
            self._served.clear()
        self._served.add(metric)
        self.hold_until = time.monotonic() + _COLLECTION_SECONDS
        return _each(self._reading, self._points.get(metric, []))

    def _collect(self) -> None:
        """Read every pool, and record what was measured up to that moment."""
        self.hold_until = time.monotonic() + _COLLECTION_SECONDS
        self._reading = self._book.read()
        for measured in list(self._measured.values()):
            measured.record()
        self._points = self._reading.by_metric()

    def _cut(self, pool: ObservedPool) -> Cut | None:
        measured = self._measured.get(pool)
        return None if measured is None else measured.cut

    def _gone(self, pool: ObservedPool) -> None:
        measured = self._measured.pop(pool, None)
        if measured is not None:
            measured.record()


def _each(reading: Reading, points: list[Point]) -> Iterator[Observation]:
    """Give a reading's points, each made when it is asked for: all at once would start the garbage collector."""
    for point in unhurried(points):
        yield Observation(reading.numbers[point], attributes(*point))


class _Measured(Subscription):
    """The measurements of one pool on their way to the SDK's histograms."""

    def __init__(self, backend: _Backend, pool: str) -> None:
        opt_in = c.IDLE_TIME in backend.histograms
        super().__init__(dict.fromkeys(measured_events(opt_in=opt_in), self._record))
        if not opt_in:
            self.handlers[Checkout] = PlainRecorder(backend.histograms, pool)
        self._backend = backend
        self._due: list[Event | Checkout] = []
        # Not again: an SDK that records may make a request, and what that measures waits in the queue.
        self._recording = new_lock(again=False)
        self._taking = new_lock()

    def flush(self) -> None:
        """Record what waits, if it is much and no collection is under way."""
        if len(self.queue) < _BATCH or not self._recording.acquire(blocking=False):
            return
        try:
            with self._taking:
                held = time.monotonic() < self._backend.hold_until and len(self.queue) < _HELD_AT_MOST
                batch = [] if held else self._take(_BATCH)
            for event in batch:
                self.handlers[type(event)](event)
        finally:
            self._recording.release()

    def cut(self) -> None:
        """Set aside what was measured up to now. Called under the pool's lock, so nothing is added meanwhile."""
        with self._taking:
            self._due.extend(self._take(len(self.queue)))

    def record(self) -> None:
        """Record what was set aside; then a batch that was taken before is recorded, too."""
        with self._recording:
            due, self._due = self._due, []
            for event in unhurried(due):
                self.handlers[type(event)](event)

    def _take(self, most: int) -> list[Event | Checkout]:
        return [self.queue.popleft() for _ in range(min(most, len(self.queue)))]

    def _record(self, event: Event) -> None:
        if isinstance(event, RequestEnded) and event.measured_elsewhere:
            return
        histograms = self._backend.histograms
        trace = getattr(event, "trace", None)
        context = NO_TRACE if trace is None else trace.context
        for metric, value, labels in MEASURES[type(event)](event):
            histogram = histograms.get(metric)
            if histogram is not None:
                histogram.record(value, attributes(metric, labels), context)
