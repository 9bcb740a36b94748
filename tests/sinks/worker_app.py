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


def fetch(url):
    """Give what the url says, or what went wrong.

    Threads that share a client may see a ReadError for nothing: httpcore asks an idle connection whether there is
    something to read, which would mean that its server closed it, while another thread begins to use it.
    """
    try:
        return client.get(url).content
    except httpx.HTTPError as exc:
        return type(exc).__name__.encode()


def application(environ, start_response):
    query = parse_qs(environ["QUERY_STRING"])
    if environ["PATH_INFO"] == "/metrics":
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        body = generate_latest(registry)
    elif environ["PATH_INFO"] == "/begin":
        for _ in range(int(query["count"][0])):
            threading.Thread(target=fetch, args=(query["url"][0],)).start()
        body = b""
    elif environ["PATH_INFO"] == "/drop":  # a client of the moment, dropped unclosed
        short = httpx.Client(transport=InstrumentedSyncTransport(name="short", sinks=[PrometheusSink()]))
        short.get(query["url"][0])
        del short
        gc.collect()  # httpx's responses are in reference cycles
        body = b""
    else:
        body = fetch(query["url"][0])
    start_response("200 OK", [("content-type", "text/plain"), ("x-pid", str(os.getpid()))])
    return [body]
