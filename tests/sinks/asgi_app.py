"""An ASGI application for gunicorn in multi-process mode: /call makes a request of its own, /metrics gives the sum."""

import os
from urllib.parse import parse_qs

import httpx
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from poolscope import InstrumentedTransport, PrometheusSink

transport = InstrumentedTransport(name="app", sinks=[PrometheusSink()], limits=httpx.Limits(max_connections=5))
client = httpx.AsyncClient(transport=transport, timeout=5, trust_env=False)


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        await transport.drain(5)
        await client.aclose()
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/metrics":
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        body = generate_latest(registry)
    else:
        response = await client.get(parse_qs(scope["query_string"].decode())["url"][0])
        body = response.content
    headers = [(b"content-type", b"text/plain"), (b"x-pid", str(os.getpid()).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
