"""A client that is given a transport, and arguments which that makes void."""

import httpx

from findings.stage import asynchronous, fault
from harness import Server


@fault("ignored-configuration")
@asynchronous
async def ignored_configuration(stage, repaired):
    if repaired:
        from findings.ignored_repaired import make
    with Server() as server:
        client = make(stage) if repaired else _make(stage)
        async with client:
            await client.get(server.url())
            stage.judge(client)


def _make(stage):
    transport = stage.ours.InstrumentedTransport(name="shop", sinks=stage.both.sinks)
    return httpx.AsyncClient(transport=transport, limits=httpx.Limits(max_connections=3), http2=True)
