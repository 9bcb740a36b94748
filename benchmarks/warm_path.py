"""What a warm request costs with each sink, in instructions, against the bare transport in the same run.

The reference: async httpx, 5 workers on 5 kept-alive HTTP/1.1 connections, GET, a 2-byte body, `timeout=None`, a
loopback server in another process. `warm_path.py` prints the table; `warm_path.py KIND PORT REQUESTS` is one run.
"""

import asyncio
import subprocess
import sys
from pathlib import Path

from measuring import instructions_per_request

BUDGETS = {"bare": 1.0, "no sink": 1.01, "Prometheus": 1.03, "OpenTelemetry metrics": 1.10}
WORKERS = 5


def main() -> None:
    """Measure every kind and print the table."""
    serve = [sys.executable, __file__, "serve"]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as server:
        try:
            port = server.stdout.readline().strip()
            bare = 0.0
            print(f"{'warm request':24}{'instructions':>14}{'ratio':>9}{'budget':>9}")
            for kind, budget in BUDGETS.items():
                count = instructions_per_request(Path(__file__), kind, port)
                bare = bare or count
                print(f"{kind:24}{count:14,.0f}{count / bare:9.3f}{budget:9.2f}", flush=True)
        finally:
            server.terminate()


def transport(kind: str):
    import httpx

    limits = httpx.Limits(max_connections=WORKERS, max_keepalive_connections=WORKERS)
    if kind == "bare":
        return httpx.AsyncHTTPTransport(limits=limits)
    from poolscope import InstrumentedTransport

    return InstrumentedTransport(name="warm", sinks=sinks(kind), limits=limits)


def sinks(kind: str) -> list:
    if kind == "Prometheus":
        from poolscope import PrometheusSink

        return [PrometheusSink()]
    if kind == "OpenTelemetry metrics":
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader

        from poolscope import OpenTelemetrySink

        return [OpenTelemetrySink(MeterProvider([InMemoryMetricReader()]))]
    return []


async def run(transport, port: str, requests: int) -> None:
    """Send that many requests through a transport, by all workers."""
    import httpx

    async with httpx.AsyncClient(transport=transport, timeout=None) as client, asyncio.TaskGroup() as group:

        async def worker() -> None:
            for _ in range(requests // WORKERS):
                response = await client.get(f"http://127.0.0.1:{port}/")
                assert response.content == b"ok"

        for _ in range(WORKERS):
            group.create_task(worker())


async def serve() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            main()
        case ["serve"]:
            asyncio.run(serve())
        case [kind, port, requests]:
            asyncio.run(run(transport(kind), port, int(requests)))
