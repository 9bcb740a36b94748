"""Trace ids on `wait_time`: in the OpenMetrics exposition, and through OTLP."""

import anyio
import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition, parser

from driving import kits, reached, together
from harness import Server
from poolscope import OpenTelemetrySink, PrometheusSink
from poolscope import _contract as c
from spanning import run, tracing


def exemplars(registry):
    """Every exemplar of an OpenMetrics exposition, by metric."""
    families = parser.text_string_to_metric_families(exposition.generate_latest(registry).decode())
    return [(sample.name, sample.exemplar) for family in families for sample in family.samples if sample.exemplar]


@kits()
def test_openmetrics_names_the_trace_of_a_wait(kit):
    """The last sampled request of each bucket, with the span that the wait is under; on no other metric."""
    with tracing(kit) as tracer, Server() as server:

        async def story(driver):
            for _ in range(3):
                await driver.get(server.url())

        run(kit, story)
        clients = tracer.tree().clients
        found = exemplars(kit.registry)
        assert {name for name, _ in found} == {c.WAIT_TIME.prometheus_name + "_bucket"}
        assert 1 <= len(found) <= 3
        by_span = {(span.trace_id.hex(), span.span_id.hex()): span for span in clients}
        for _, exemplar in found:
            span = by_span[exemplar.labels["trace_id"], exemplar.labels["span_id"]]
            assert exemplar.value == pytest.approx(span.attributes[c.WAIT_SECONDS], abs=1e-6)
            assert span.start / 1e9 - 0.001 <= float(exemplar.timestamp) <= span.end / 1e9 + 0.001
        assert b"trace_id" not in generate_latest(kit.registry)


@kits(flavours=["httpx"])
def test_a_pool_timeout_leaves_its_trace_where_its_wait_is(kit):
    """The wait that an alert is about is the one that can be looked up."""

    def script(peer):
        peer.request()
        peer.reached("held")
        peer.wait("go")
        peer.respond(200, b"ok")

    with tracing(kit) as tracer, Server(script) as server:

        async def story(driver):
            async with anyio.create_task_group() as group:
                group.start_soon(driver.get, server.url("/held"))
                await reached(server, "held")
                await together(lambda: driver.get(server.url("/late"), timeout=kit.http.Timeout(10, pool=0.02)))
                server.gate("go").set()

        run(kit, story, limits=kit.limits(1, 1))
        (late,) = [span for span in tracer.tree().clients if span.error]
        ids = [exemplar.labels["span_id"] for _, exemplar in exemplars(kit.registry) if exemplar.value >= 0.02]
        assert ids == [late.span_id.hex()]


@pytest.mark.parametrize("sampler", [ALWAYS_OFF, None])
def test_only_sampled_requests_leave_exemplars(sampler):
    """Without the OpenTelemetry sink, too: the span around the request is whose trace it is."""
    import httpx

    from poolscope import InstrumentedSyncTransport

    with tracing(sampler=sampler) as tracer, Server() as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(trace, "_TRACER_PROVIDER", tracer.provider)
        registry = CollectorRegistry()
        transport = InstrumentedSyncTransport(verify=False, name="pool", sinks=[PrometheusSink(registry)])
        with httpx.Client(verify=False, transport=transport) as client, tracer.span():
            client.get(server.url())
        found = exemplars(registry)
        if sampler is ALWAYS_OFF:
            assert found == []
        else:
            ((_, exemplar),) = found
            assert exemplar.labels["span_id"] == tracer.tree().one("test").span_id.hex()


def test_without_a_tracer_the_prometheus_sink_puts_nothing_on_the_pool():
    """So exemplars cost nothing there; once a tracer is set up, the next scrape finds it."""
    import httpx

    from poolscope import InstrumentedSyncTransport

    with tracing() as tracer, Server() as server, pytest.MonkeyPatch.context() as patch:
        registry = CollectorRegistry()
        transport = InstrumentedSyncTransport(verify=False, name="pool", sinks=[PrometheusSink(registry)])
        with httpx.Client(verify=False, transport=transport) as client:
            client.get(server.url())
            assert transport.observer.tracing is None
            assert "handle_request" not in vars(transport._pool)
            patch.setattr(trace, "_TRACER_PROVIDER", tracer.provider)
            assert exemplars(registry) == []
            with tracer.span():
                client.get(server.url())
            assert len(exemplars(registry)) == 1


@kits(flavours=["httpx"])
@pytest.mark.parametrize("spans", ["spans", "off"])
def test_otlp_names_the_trace_of_a_wait_although_others_record_it(kit, spans):
    """Each request's own trace, not that of the span that is current when a batch is recorded; no strangers'."""
    with tracing() as tracer, Server() as server:
        exporter = OTLPMetricExporter(endpoint=f"{tracer.receiver.url}/v1/metrics")
        reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
        meter_provider = MeterProvider([reader])
        kit.sinks = [OpenTelemetrySink(meter_provider, tracer.provider, spans=spans)]

        async def story(driver):
            with tracer.span("mine"):
                await driver.get(server.url())
            with tracer.span("stranger"):
                meter_provider.force_flush()

        run(kit, story)
        meter_provider.shutdown()
        tree = tracer.tree()
        own = (tree.clients if spans == "spans" else tree.named("mine"))[0]
        found = {
            (metric.name, one.trace_id, one.span_id)
            for metric in tracer.receiver.metrics
            if metric.WhichOneof("data") == "histogram"
            for point in metric.histogram.data_points
            for one in point.exemplars
        }
        assert found == {(c.WAIT_TIME.name, *own.key)}
