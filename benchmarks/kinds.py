"""What is measured side by side: the bare client, poolscope with each sink, its rivals, and the floors.

Spans are sampled and go through the batch processor to an exporter that drops them; metrics go to a reader that nobody
reads meanwhile.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

from passing import passing

Wrap = Callable[[Any, "Setting"], Any]


@dataclass(frozen=True)
class Setting:
    """What a client is made for. flavour: httpx or httpx2. asynchronous: its colour."""

    flavour: str
    asynchronous: bool

    @property
    def http(self) -> Any:
        """The flavour's module."""
        return import_module(self.flavour)

    def named(self, module: Any, name: str) -> Any:
        """Give a class of this colour: the async one has Async before its name."""
        return getattr(module, f"Async{name}" if self.asynchronous else name)


@dataclass(frozen=True)
class Kind:
    """One row. wrap: puts it around a bare transport. budget: the ratio to bare that law 4 permits.

    each: made once per run, then called after each request. flavours: those it can measure.
    """

    wrap: Wrap = lambda inner, _: inner
    budget: float | None = None
    each: Callable[[], Callable[[], None]] | None = None
    flavours: tuple[str, ...] = ("httpx", "httpx2")


def providers(*, spans: bool) -> tuple[Any, Any]:
    """Give a meter provider of the SDK, and a tracer provider of it or one that makes nothing."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
    from opentelemetry.trace import NoOpTracerProvider

    class Null(SpanExporter):
        def export(self, spans):  # noqa: ARG002 - its base class names it
            return SpanExportResult.SUCCESS

    meter_provider = MeterProvider([InMemoryMetricReader()])
    if not spans:
        return meter_provider, NoOpTracerProvider()
    tracer_provider = TracerProvider()
    tracer_provider.add_span_processor(BatchSpanProcessor(Null()))
    return meter_provider, tracer_provider


def _poolscope(inner: Any, setting: Setting, sinks: Callable[[], list[Any]]) -> Any:
    module = import_module(f"poolscope.{setting.flavour}")
    name = "InstrumentedTransport" if setting.asynchronous else "InstrumentedSyncTransport"
    return getattr(module, name)(inner, name="warm", sinks=sinks())


def _prometheus() -> list[Any]:
    from poolscope import PrometheusSink

    return [PrometheusSink()]


def _opentelemetry(*, spans: bool) -> list[Any]:
    from poolscope import OpenTelemetrySink

    return [OpenTelemetrySink(*providers(spans=spans))]


def _their_package(inner: Any, setting: Setting, *, spans: bool) -> Any:
    from opentelemetry.instrumentation import httpx as package

    name = "OpenTelemetryTransport" + ("Httpx2" if setting.flavour == "httpx2" else "")
    wrapper = getattr(package, f"Async{name}" if setting.asynchronous else f"Sync{name}")
    meter_provider, tracer_provider = providers(spans=spans)
    return wrapper(inner, tracer_provider=tracer_provider, meter_provider=meter_provider)


def _httpx_metrics(inner: Any, setting: Setting) -> Any:
    from httpx_metrics import async_metrics, sync_metrics, transport

    module = async_metrics if setting.asynchronous else sync_metrics
    metrics = [setting.named(module, name)() for name in ("ProcessingRequestsMetric", "RequestsDurationMetric")]
    return setting.named(transport, "PrometheusTransport")(inner, metrics=metrics, exporter_port=None)


def _records_alone(*, span: bool) -> Callable[[], None]:
    """Give a call that makes three records of the SDK's histograms, as plain as they can be made, and maybe a span."""
    from opentelemetry.context import Context

    from poolscope import _contract as c

    meter_provider, tracer_provider = providers(spans=span)
    meter, tracer, nobody = meter_provider.get_meter("alone"), tracer_provider.get_tracer("alone"), Context({"a": "b"})
    histograms = [
        meter.create_histogram(m.name, m.unit, explicit_bucket_boundaries_advisory=m.buckets).record
        for m in (c.WAIT_TIME, c.USE_TIME, c.REQUEST_DURATION)
    ]
    where = {c.POOL: "warm", "server.address": "127.0.0.1", "server.port": 80}
    labels = {**where, "http.request.method": "GET", "http.response.status_code": 200, "error.type": ""}
    spanned = {**labels, "url.full": "http://127.0.0.1:80/", "network.protocol.version": "1.1", "source": "reused"}

    def record() -> None:
        for histogram, attributes in zip(histograms, (where, where, labels), strict=True):
            histogram(0.002, attributes, nobody)
        if span:
            tracer.start_span("GET", attributes=spanned).end()

    return record


METRICS, SPANS = "OpenTelemetry metrics", "OpenTelemetry metrics and spans"
KINDS = {
    "bare": Kind(),
    "poolscope, no sink": Kind(partial(_poolscope, sinks=list), 1.01),
    "poolscope, Prometheus": Kind(partial(_poolscope, sinks=_prometheus), 1.03),
    f"poolscope, {METRICS}": Kind(partial(_poolscope, sinks=partial(_opentelemetry, spans=False)), 1.10),
    f"poolscope, {SPANS}": Kind(partial(_poolscope, sinks=partial(_opentelemetry, spans=True)), 1.18),
    "a wrapper that does nothing": Kind(passing),
    "the SDK's three records alone": Kind(each=partial(_records_alone, span=False)),
    "the SDK's three records and a span alone": Kind(each=partial(_records_alone, span=True)),
    "OpenTelemetry's package, metrics": Kind(partial(_their_package, spans=False)),
    "OpenTelemetry's package, metrics and spans": Kind(partial(_their_package, spans=True)),
    "httpx-metrics": Kind(_httpx_metrics, flavours=("httpx",)),
}
