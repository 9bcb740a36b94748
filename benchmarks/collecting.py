"""What a collection costs with 20 pools that spoke to 50 origins each: its time, and how long the event loop stands.

`python benchmarks/collecting.py` prints a line for a scrape and one for an export. Each runs in a thread, as a metrics
server and a periodic reader do, while the loop of the pools counts its own pauses; the median of the collections is
given, because a busy machine pauses the loop, too. "Alone" is the loop's longest pause in an equal time without one;
a collection's time is that of the processor in its thread.
"""

import asyncio
import statistics
import time
from collections.abc import Callable
from contextlib import suppress

import httpx
from prometheus_client import CollectorRegistry, generate_latest

from kinds import providers
from poolscope import InstrumentedTransport, OpenTelemetrySink, PrometheusSink

POOLS, ORIGINS, TIMES = 20, 50, 5


class Pauses:
    """Counts the longest time in which the loop ran nothing else."""

    def __init__(self) -> None:
        self.longest = 0.0
        self.running = True

    async def watch(self) -> None:
        """Come round as often as the loop does."""
        last = time.perf_counter()
        while self.running:
            await asyncio.sleep(0)
            now = time.perf_counter()
            self.longest, last = max(self.longest, now - last), now


def timed(work: Callable[[], object]) -> float:
    """Run work; give the seconds that its thread had the processor."""
    began = time.thread_time()
    work()
    return time.thread_time() - began


async def during(work: Callable[[], object]) -> tuple[float, float]:
    """Run work in a thread; give its seconds of the processor and the loop's longest pause meanwhile."""
    pauses = Pauses()
    watching = asyncio.create_task(pauses.watch())
    await asyncio.sleep(0)
    took = await asyncio.to_thread(timed, work)
    pauses.running = False
    await watching
    return took, pauses.longest


async def fill() -> tuple[list[InstrumentedTransport], Callable[[], object], Callable[[], object]]:
    """Make the pools and their origins: requests to ports where nobody listens. Give a scrape and an export."""
    registry, (meter_provider, tracer_provider) = CollectorRegistry(), providers(spans=False)
    sinks = [PrometheusSink(registry), OpenTelemetrySink(meter_provider, tracer_provider, spans="off")]
    transports = [InstrumentedTransport(name=f"pool {i}", sinks=sinks) for i in range(POOLS)]
    for transport in transports:
        for i in range(ORIGINS):
            with suppress(httpx.ConnectError):
                await transport.handle_async_request(httpx.Request("GET", f"http://127.0.0.1:{i + 1}/"))
    (reader,) = meter_provider._all_metric_readers  # noqa: SLF001 - of the SDK
    return transports, lambda: generate_latest(registry), reader.get_metrics_data


async def main() -> None:
    kept, scrape, export = await fill()
    lines = sum(not line.startswith(b"#") for line in scrape().splitlines())
    print(f"{len(kept)} pools, {ORIGINS} origins each: {lines:,} samples")
    for name, work in (("a scrape", scrape), ("an export", export)):
        found = [await during(work) for _ in range(TIMES)]
        took, pause = (1e3 * statistics.median(each) for each in zip(*found, strict=True))
        alone = [await during(lambda: time.sleep(took / 1e3)) for _ in range(TIMES)]  # noqa: B023 - it runs at once
        idle = 1e3 * statistics.median(pause for _, pause in alone)
        print(f"{name}: {took:.1f} ms, the loop's longest pause {pause:.1f} ms (alone {idle:.1f} ms)")


if __name__ == "__main__":
    asyncio.run(main())
