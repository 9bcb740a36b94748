"""What a warm request costs with spans, in instructions, against the bare transport and OpenTelemetry's own package.

The reference is that of `warm_path.py`. Spans are sampled and go through the batch processor to an exporter that drops
them; metrics go to a reader that nobody reads. `spans.py` prints the table; `spans.py KIND PORT REQUESTS` is one run.
"""

import asyncio
import subprocess
import sys
from pathlib import Path

from measuring import instructions_per_request
from warm_path import WORKERS, run, serve

BUDGETS = {
    "bare": 1.0,
    "no SDK": 1.01,
    "their package": None,
    "their package, spans": None,
    "metrics": 1.10,
    "metrics, unsampled": None,
    "metrics, spans": 1.18,
    "metrics, beside theirs": None,
}


def main() -> None:
    """Measure every kind, or those named, and print the table."""
    command = [sys.executable, __file__, "serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            port = server.stdout.readline().strip()
            bare = 0.0
            print(f"{'warm request':24}{'instructions':>14}{'ratio':>9}{'budget':>9}")
            for kind, budget in BUDGETS.items():
                count = instructions_per_request(Path(__file__), kind, port)
                bare = bare or count
                shown = "" if budget is None else f"{budget:.2f}"
                print(f"{kind:24}{count:14,.0f}{count / bare:9.3f}{shown:>9}", flush=True)
        finally:
            server.terminate()


def providers(kind: str):
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON
    from opentelemetry.trace import NoOpTracerProvider

    class Null(SpanExporter):
        def export(self, spans):  # noqa: ARG002
            return SpanExportResult.SUCCESS

    meter_provider = MeterProvider([InMemoryMetricReader()])
    if kind in ("their package", "metrics"):
        return meter_provider, NoOpTracerProvider()
    tracer_provider = TracerProvider(sampler=ALWAYS_OFF if "unsampled" in kind else ALWAYS_ON)
    tracer_provider.add_span_processor(BatchSpanProcessor(Null()))
    return meter_provider, tracer_provider


def transport(kind: str):
    import httpx

    limits = httpx.Limits(max_connections=WORKERS, max_keepalive_connections=WORKERS)
    if kind == "bare":
        return httpx.AsyncHTTPTransport(limits=limits)
    if kind != "no SDK":
        meter_provider, tracer_provider = providers(kind)
    if kind.startswith("their") or kind.endswith("theirs"):
        from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

        HTTPXClientInstrumentor().instrument(meter_provider=meter_provider, tracer_provider=tracer_provider)
    if kind.startswith("their"):
        return httpx.AsyncHTTPTransport(limits=limits)
    from poolscope import InstrumentedTransport, OpenTelemetrySink

    sinks = None if kind == "no SDK" else [OpenTelemetrySink(meter_provider, tracer_provider)]
    return InstrumentedTransport(name="warm", sinks=sinks, limits=limits)


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            main()
        case ["serve"]:
            asyncio.run(serve())
        case [kind, port, requests]:
            asyncio.run(run(transport(kind), port, int(requests)))
