"""What a collection costs with 20 pools that spoke to 50 origins each: its time, and how long the event loop stands.

`python benchmarks/collecting.py` prints a line for a scrape, one for an export, and for each what prometheus_client
and OpenTelemetry's SDK cost alone, with the same samples ready-made. Each runs in a thread, as a metrics server and a
periodic reader do, while the loop of the pools wakes up every millisecond and looks how late it is.

A pause is that lateness, or the processor's time that the collecting thread used meanwhile where this is less: what
other programs of the machine take is no pause. Of each collection the longest pause counts; given are the median and
the worst of the collections, and how many wake-ups of all came more than 5 ms late.
"""

import asyncio
import gc
import statistics
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import httpx
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from kinds import providers
from poolscope import InstrumentedTransport, OpenTelemetrySink, PrometheusSink
from poolscope.sinks._rivals import readers_of

POOLS, ORIGINS, TIMES = 20, 50, 20
TICK_SECONDS, LATE_SECONDS = 0.001, 0.005

Work = Callable[[], object]


class Pauses:
    """Wakes up every tick while one collection runs in a thread. It keeps numbers only: garbage would be collected."""

    def __init__(self) -> None:
        self.longest = self.latest = self.seconds = 0.0
        self.ticks = self.late = 0
        self._clock = 0
        self._running = True

    async def during(self, work: Work) -> None:
        """Run work in a thread and look how late the loop wakes up meanwhile."""
        began, worked = threading.Event(), threading.Event()
        thread = threading.Thread(target=self._run, args=(work, began, worked))
        thread.start()
        began.wait()
        while self._running:
            used, due = time.clock_gettime(self._clock), time.perf_counter() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            late = time.perf_counter() - due
            pause = min(late, time.clock_gettime(self._clock) - used)
            self.latest, self.longest = max(self.latest, late), max(self.longest, pause)
            self.ticks += 1
            self.late += pause > LATE_SECONDS
        worked.set()  # its clock is read until here
        thread.join()

    def _run(self, work: Work, began: threading.Event, worked: threading.Event) -> None:
        self._clock = time.pthread_getcpuclockid(threading.get_ident())
        began.set()
        used = time.thread_time()
        work()
        self.seconds = time.thread_time() - used
        self._running = False
        worked.wait()


async def fill() -> tuple[list[InstrumentedTransport], CollectorRegistry, Any]:
    """Make the pools and their origins: requests to ports where nobody listens."""
    registry, (meter_provider, tracer_provider) = CollectorRegistry(), providers(spans=False)
    sinks = [PrometheusSink(registry), OpenTelemetrySink(meter_provider, tracer_provider, spans="off")]
    transports = [InstrumentedTransport(name=f"pool {i}", sinks=sinks) for i in range(POOLS)]
    for transport in transports:
        for i in range(ORIGINS):
            with suppress(httpx.ConnectError):
                await transport.handle_async_request(httpx.Request("GET", f"http://127.0.0.1:{i + 1}/"))
    return transports, registry, meter_provider


def reader_of(meter_provider: Any) -> Any:
    (reader,) = readers_of(meter_provider)
    return reader


def ready_made(registry: CollectorRegistry) -> CollectorRegistry:
    """Give a registry with the same samples, made beforehand."""

    class Ready(Collector):
        def collect(self):
            return families

    families = list(registry.collect())
    for family in families:
        family.samples = list(family.samples)
    ready = CollectorRegistry()
    ready.register(Ready())
    return ready


def sdk_alone(meter_provider: Any) -> Any:
    """Give a meter provider with the same points: observations made beforehand, histograms recorded once."""
    from opentelemetry.metrics import Observation
    from opentelemetry.sdk.metrics.export import Histogram, Sum

    alone, _ = providers(spans=False)
    meter = alone.get_meter("alone")
    for metric in reader_of(meter_provider).get_metrics_data().resource_metrics[0].scope_metrics[0].metrics:
        points = metric.data.data_points
        if isinstance(metric.data, Histogram):
            bounds = points[0].explicit_bounds
            histogram = meter.create_histogram(metric.name, explicit_bucket_boundaries_advisory=bounds)
            for point in points:
                histogram.record(0.002, point.attributes)
            continue
        ready = [Observation(point.value, point.attributes) for point in points]
        summed = isinstance(metric.data, Sum)
        make = meter.create_observable_counter if summed else meter.create_observable_gauge
        make(metric.name, [lambda _, ready=ready: ready])
    return alone


async def measure(name: str, work: Work) -> None:
    """Print a line."""
    passes = [0, 0, 0]

    def count(phase: str, info: dict[str, int]) -> None:
        passes[info["generation"]] += phase == "stop"

    work()
    gc.collect()
    gc.callbacks.append(count)
    all_of_it = [Pauses() for _ in range(TIMES)]
    for pauses in all_of_it:
        await pauses.during(work)
    gc.callbacks.remove(count)
    late, ticks = sum(pauses.late for pauses in all_of_it), sum(pauses.ticks for pauses in all_of_it)
    print(
        f"{name:28} {1e3 * statistics.median(pauses.seconds for pauses in all_of_it):4.0f} ms"
        f" | longest pause {spread([pauses.longest for pauses in all_of_it])} | over 5 ms: {late:4} of {ticks:5}"
        f" | full garbage collections: {passes[2]:2}"
        f" | latest wake-up {spread([pauses.latest for pauses in all_of_it])}"
    )


def spread(seconds: list[float]) -> str:
    return f"{1e3 * statistics.median(seconds):5.1f} ms, worst {1e3 * max(seconds):5.1f}"


async def main() -> None:
    kept, registry, meter_provider = await fill()
    lines = sum(not line.startswith(b"#") for line in generate_latest(registry).splitlines())
    print(f"{len(kept)} pools, {ORIGINS} origins each: {lines:,} samples; each {TIMES} times")
    await measure("nothing", lambda: time.sleep(0.5))
    await measure("a scrape", partial(generate_latest, registry))
    await measure("an export", reader_of(meter_provider).get_metrics_data)
    await measure("prometheus_client alone", partial(generate_latest, ready_made(registry)))
    await measure("OpenTelemetry's SDK alone", reader_of(sdk_alone(meter_provider)).get_metrics_data)


if __name__ == "__main__":
    asyncio.run(main())
