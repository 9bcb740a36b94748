"""The demo's pools and workers in a process of its own, with one sink, led by lines on its standard input.

`load.py native|otel ORIGIN_PORT` prints the port of its /metrics and then takes `start POOL WORKERS HOLD SPREAD` and
`stop POOL`, each answered with `ok`. It ends with its input.
"""

import asyncio
import sys

import httpx
from prometheus_client import REGISTRY, start_http_server

from poolscope import InstrumentedTransport, OpenTelemetrySink, PrometheusSink
from poolscope.cli._stages import KEPT_ALIVE, SLOTS, Load
from poolscope.cli._traffic import Workers


def sink_of(kind: str):
    if kind == "native":
        return PrometheusSink(registry=REGISTRY)
    from opentelemetry.exporter.prometheus import PrometheusMetricReader
    from opentelemetry.sdk.metrics import MeterProvider

    return OpenTelemetrySink(meter_provider=MeterProvider(metric_readers=[PrometheusMetricReader()]))


async def serve(kind: str, origin: int) -> None:
    sink = sink_of(kind)
    clients, running = {}, {}
    for name, kept in KEPT_ALIVE.items():
        limits = httpx.Limits(max_connections=SLOTS, max_keepalive_connections=kept)
        transport = InstrumentedTransport(name=name, sinks=[sink], limits=limits)
        clients[name] = httpx.AsyncClient(transport=transport, trust_env=False)
    server, _ = start_http_server(0, addr="127.0.0.1", registry=REGISTRY)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    async with asyncio.TaskGroup() as group:
        while words := (await asyncio.to_thread(sys.stdin.readline)).split():
            if words[0] == "start":
                _, pool, workers, hold, spread = words
                load = Load(origin, int(workers), float(hold), spread=float(spread))
                running[pool] = Workers(group, clients[pool], [load])
                running[pool].start()
            else:
                running[words[1]].stop()
            sys.stdout.write("ok\n")
            sys.stdout.flush()
        for workers in running.values():
            workers.stop()
    server.shutdown()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
