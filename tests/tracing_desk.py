"""A trace whose clock the test moves, and a tracer's real SDK that keeps its spans in memory."""

from types import SimpleNamespace

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ledger import Ledger
from poolscope import _contract as c
from poolscope.sinks import _attempt, _trace
from poolscope.sinks._trace import Trace
from poolscope.sinks._tracing import Tracing

EPOCH = 1_700_000_000
URL = SimpleNamespace(scheme=b"https", host=b"shop", port=None)
WHERE = {c.POOL: "pool", c.ADDRESS: "shop", c.PORT: 443}


class Clock:
    """Seconds that pass where the test says so, as both of the clocks that a trace reads."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def time_ns(self):
        return EPOCH * 10**9 + int(self.now * 1e9)


class SlowClock:
    """The same seconds, of which one goes by with each look."""

    def __init__(self, clock):
        self.clock = clock

    def monotonic(self):
        self.clock.now += 1.0
        return self.clock.monotonic()

    def time_ns(self):
        self.clock.now += 1.0
        return self.clock.time_ns()


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(_trace, "time", made)
    monkeypatch.setattr(_attempt, "time", made)
    return made


class Sdk:
    """A tracer's real SDK. `spans` gives those that ended, each as its parts that a test reads."""

    def __init__(self, **options):
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(**options)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("tests")

    @property
    def spans(self):
        return [
            (span.name, (span.start_time / 1e9 - EPOCH, span.end_time / 1e9 - EPOCH), dict(span.attributes))
            for span in self.exporter.get_finished_spans()
        ]

    def named(self, name):
        [span] = [span for span in self.exporter.get_finished_spans() if span.name == name]
        return span


@pytest.fixture
def sdk():
    return Sdk()


def made(sdk, clock, *, own=False, mode="spans", until="body", at=1.0):
    """A trace that has begun at this second, of a request that entered the pool then."""
    tracing = Tracing(sdk.provider, mode=mode, until=until)
    tracing.tracer = None if mode == "off" else sdk.tracer
    span = sdk.tracer.start_span("request", start_time=EPOCH * 10**9)
    clock.now = at
    one = Trace(tracing, span, trace.set_span_in_context(span), "pool", own=own)
    one.begin(SimpleNamespace(url=URL))
    checkout = Ledger().request(at)
    checkout.trace = one
    return one, checkout
