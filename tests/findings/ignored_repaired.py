"""The twin of `ignored_faulty`: the transport is given what it needs."""

import httpx


def make(stage):
    limits = httpx.Limits(max_connections=3)
    transport = stage.ours.InstrumentedTransport(name="shop", sinks=stage.both.sinks, limits=limits, http2=True)
    return httpx.AsyncClient(transport=transport)
