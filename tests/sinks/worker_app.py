"""A WSGI application for gunicorn in multi-process mode: /call makes a request of its own, /begin many and answers
at once, /metrics gives the sum.
"""

import gc
import os
import threading
from urllib.parse import parse_qs

import httpx
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from poolscope import InstrumentedSyncTransport, PrometheusSink

transport = InstrumentedSyncTransport(name="app", sinks=[PrometheusSink()], limits=httpx.Limits(max_connections=5))
client = httpx.Client(transport=transport, timeout=5, trust_env=False)


def application(environ, start_response):
    query = parse_qs(environ["QUERY_STRING"])
    if environ["PATH_INFO"] == "/metrics":
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        body = generate_latest(registry)
    elif environ["PATH_INFO"] == "/begin":
        for _ in range(int(query["count"][0])):
            threading.Thread(target=client.get, args=(query["url"][0],)).start()
        body = b""
    elif environ["PATH_INFO"] == "/drop":  # a client of the moment, dropped unclosed
        short = httpx.Client(transport=InstrumentedSyncTransport(name="short", sinks=[PrometheusSink()]))
        short.get(query["url"][0])
        del short
        gc.collect()  # httpx's responses are in reference cycles
        body = b""
    else:
        try:
            body = client.get(query["url"][0]).content
        except httpx.HTTPError as exc:
            body = type(exc).__name__.encode()
    start_response("200 OK", [("content-type", "text/plain"), ("x-pid", str(os.getpid()))])
    return [body]
