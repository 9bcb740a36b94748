"""A real meter's SDK with the OpenTelemetry sink, whose reader keeps what it collects, and pools without a socket."""

from types import SimpleNamespace

import pytest
from opentelemetry.metrics import _internal
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from ledger import Ledger
from poolscope import OpenTelemetrySink
from poolscope import _contract as c
from poolscope import events as e
from poolscope._observer import Observer
from poolscope.sinks import _providers, opentelemetry

WHERE = {c.POOL: "pool", c.ADDRESS: "shop", c.PORT: 80}
HERE = ("pool", "shop", "80", 9.0)
WAITED = e.Acquired(*HERE, c.NEW, 0.5, 3)


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """The seconds of the sink's clock. No backend of another test is known."""
    made = SimpleNamespace(now=100.0)
    made.monotonic = lambda: made.now
    monkeypatch.setattr(opentelemetry, "time", made)
    monkeypatch.setattr(_providers, "_served", [])
    return made


@pytest.fixture
def placeholder(monkeypatch):
    """A process that has no SDK yet: what the API then gives as its meter provider."""
    made = _internal._ProxyMeterProvider()
    monkeypatch.setattr(_internal, "_PROXY_METER_PROVIDER", made)
    monkeypatch.setattr(_internal, "_METER_PROVIDER", None)
    monkeypatch.setattr(_internal, "_METER_PROVIDER_SET_ONCE", _internal.Once())
    return made


class Watched(Observer):
    """A pool that a transport holds. `while_read` is done as it is read, `reads` are its readings.

    measured: what of it goes to meters, by sink.
    """

    def __init__(self):
        self.ledger = Ledger()
        super().__init__(self.ledger.pool, clock=lambda: 10.0)
        self.held = self.own()
        self.reads = 0
        self.while_read = lambda: None

    @property
    def measured(self):
        return [one for one in self._subscriptions if isinstance(one, opentelemetry._Measured)]

    def read(self, then=None):
        self.reads += 1
        self.while_read()
        return super().read(then)


class Desk:
    """A meter's SDK with a sink, and a pool in it whose measurements go through `measured`."""

    def __init__(self, **options):
        self.reader = InMemoryMetricReader()
        self.provider = provider_of(self.reader)
        self.sink = OpenTelemetrySink(self.provider, spans="off", **options)
        self.pool = Watched()
        self.pool.subscribe([self.sink])
        [self.measured] = self.pool.measured

    def queue(self, count, fact=WAITED):
        """Let facts come, and the queue be looked at; give how many of them still wait."""
        self.measured.queue.extend([fact] * count)
        self.measured.flush()
        return len(self.measured.queue)

    def recorded(self, metric=c.WAIT_TIME):
        """Collect; give how many values of a histogram were recorded."""
        return count_of(exported(self.reader), metric)


@pytest.fixture
def desk():
    return Desk()


def provider_of(*readers):
    return MeterProvider(readers, shutdown_on_exit=False)


def exported(reader):
    """Collect; give our metrics by name."""
    data = reader.get_metrics_data()
    scopes = data.resource_metrics[0].scope_metrics if data and data.resource_metrics else []
    return {metric.name: metric for one in scopes if one.scope.name == "poolscope" for metric in one.metrics}


def points_of(metric):
    """Give the points that are not zero."""
    return [point for point in metric.data.data_points if getattr(point, "value", 1)] if metric else []


def count_of(seen, metric):
    return sum(point.count for point in points_of(seen.get(metric.name)))
