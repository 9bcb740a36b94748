"""Sends the demo's traces and metrics to an OpenTelemetry collector, over OTLP/HTTP."""

import contextlib
import os
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

from poolscope._subscription import Sink
from poolscope.cli._errors import CommandError
from poolscope.cli._scrape import without_secrets

_PORTS = {"http": 80, "https": 443}
_CONNECT_SECONDS = 2.0
_EXPORT_SECONDS = 5
_SPANS_THAT_WAIT = 16_384
"""More than the demo makes between two exports."""


@contextlib.contextmanager
def sending(url: str) -> Iterator[list[Sink]]:
    """Give the sinks that send to the collector at `url`, none for an empty one; what is left is sent at the end.

    Raises CommandError where the URL is none, nobody listens there, or the exporter is not installed.
    """
    if not url:
        yield []
        return
    base = _checked(url)
    try:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError:
        needed = "pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http"
        raise CommandError(f"--otlp needs OpenTelemetry's SDK and exporter: {needed}") from None
    from poolscope.sinks.opentelemetry import OpenTelemetrySink  # noqa: PLC0415 - only where somebody wants it

    resource = Resource.create({"service.name": "poolscope-demo"})
    tracer_provider = TracerProvider(resource=resource)
    exporter = OTLPSpanExporter(endpoint=f"{base}/v1/traces")
    tracer_provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=_SPANS_THAT_WAIT))
    metric_exporter = OTLPMetricExporter(endpoint=f"{base}/v1/metrics")
    reader = PeriodicExportingMetricReader(metric_exporter, export_interval_millis=_EXPORT_SECONDS * 1000)
    meter_provider = MeterProvider([reader], resource=resource)
    try:
        yield [OpenTelemetrySink(meter_provider, tracer_provider)]
    finally:
        meter_provider.shutdown()
        tracer_provider.shutdown()


def _checked(url: str) -> str:
    """Give the URL without a slash at its end, once somebody listens there."""
    shown = without_secrets(url)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError:  # a port that is none, half an IPv6 address
        host = port = None
    if not host or not port or parts.scheme not in _PORTS:
        raise CommandError(f"--otlp takes the URL of a collector, such as http://127.0.0.1:4318, got {shown!r}")
    try:
        socket.create_connection((host, port), _CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:  # a name that cannot be one is a ValueError
        number = getattr(error, "errno", None)
        reason = os.strerror(number).lower() if number and number > 0 else str(error)
        raise CommandError(f"no collector at {shown}: {reason}") from error
    return url.rstrip("/")
