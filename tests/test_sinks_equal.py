"""One contract, two sinks: what a real run feeds into both comes out the same, sample by sample.

Left out are empty histograms, `_created`, `otel_scope_*` and `target_info`, and nothing else.
"""

from contextlib import asynccontextmanager
from functools import cache

import anyio
import httpx
import pytest

from driving import reached, together
from exposing import Both, differences, parts
from harness import H2Server, Server, client_context, refused_port
from observing import Exposition, imbalances
from poolscope import InstrumentedSyncTransport, InstrumentedTransport
from poolscope import _contract as c
from poolscope.sinks import _measurements as measurements
from poolscope.sinks import opentelemetry as sink


def script(peer):
    """Answers by the path: at once, when a gate opens, with a close, never."""
    for request in peer.requests():
        match request.target:
            case "/held":
                peer.reached("held")
                peer.wait("go on")
                peer.respond(200, b"late")
            case "/last":
                peer.respond(200, b"bye", [("connection", "close")])
                return
            case "/broken":
                peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")
                return
            case "/missing":
                peer.respond(404)
            case _:
                peer.respond(200, b"ok")


async def plain_traffic(client, server, nobody):
    """Reuse, failures of every kind, a wait, a pool timeout, two cancels."""
    for path in ("/", "/", "/missing", "/last", "/broken"):
        await together(lambda path=path: client.get(server.url(path)))
    await together(lambda: client.post(server.url("/"), content=b"body"), lambda: client.request("BREW", server.url()))
    await together(lambda: client.get(f"http://127.0.0.1:{nobody}/"))
    async with anyio.create_task_group() as group:
        group.start_soon(client.get, server.url("/held"))
        await reached(server, "held")
        timed_out = await together(lambda: client.get(server.url(), timeout=httpx.Timeout(5, pool=0.01)))
        assert isinstance(timed_out[0], httpx.PoolTimeout)
        with anyio.move_on_after(0.01):
            await client.get(server.url())  # cancelled while it waits
        server.gate("go on").set()
    with anyio.move_on_after(0) as scope:
        scope.cancel()
        await client.get(server.url())  # cancelled while it connects or asks


@asynccontextmanager
async def run(both):
    """Several pools of both colours; one of the twins is closed at the end, so is the pool that speaks HTTP/2."""
    one = httpx.Limits(max_connections=1)
    with Server(script) as server, H2Server(max_streams=2) as h2, refused_port() as nobody:
        twin = InstrumentedTransport(name="twins", sinks=both.sinks, limits=one)
        other = InstrumentedTransport(name="twins", sinks=both.sinks, limits=httpx.Limits())
        async with httpx.AsyncClient(transport=twin, timeout=5) as client:
            await plain_traffic(client, server, nobody)
        second = httpx.AsyncClient(transport=other)
        await together(*[lambda: second.get(server.url("/"))] * 3)
        secure = InstrumentedTransport(name="h2", sinks=both.sinks, http2=True, verify=client_context())
        async with httpx.AsyncClient(transport=secure) as client:
            await together(*[lambda: client.get(h2.url())] * 5)
        sync = InstrumentedSyncTransport(name="sync", sinks=both.sinks)
        with httpx.Client(transport=sync) as client:
            client.get(server.url())
        yield
        await second.aclose()


def expositions(both):
    seen = []

    async def main():
        async with run(both):
            seen.append((both.native(), both.reading()))
        seen.append((both.native(), both.reading()))

    anyio.run(main)
    return seen


@pytest.mark.parametrize("opt_in", [False, True])
def test_both_sinks_expose_the_same(opt_in):
    """While a pool still lives with idle connections, and after all are closed."""
    with Both(opt_in=opt_in) as both:
        for native, reading in expositions(both):
            assert differences(native, reading) == []
            assert imbalances(native) == imbalances(reading) == []
        assert native(c.TIMEOUTS) == 1
        assert native(c.ABANDONED) >= 1
        assert native(c.STREAM_WAIT_TIME, "_count") == 5
        assert native(c.CREATE_TIME, "_count", error_type="ConnectError") == 1
        assert native(c.REQUEST_DURATION, "_count", method="_OTHER") == 1
        assert (native(c.POOLS_OPENED, pool_name="twins"), native(c.POOLS, pool_name="twins")) == (2, 0)
        named = {name for name, _ in parts(native)[1]}
        every = {m.prometheus_name + ("_count" if m.kind == "histogram" else "") for m in c.METRICS}
        opted = {c.REQUESTS_SERVED.prometheus_name + "_count", c.IDLE_TIME.prometheus_name + "_count"}
        assert every - named == (set() if opt_in else opted)


@pytest.mark.parametrize("label", [c.ERROR, c.STATE])
def test_a_renamed_label_is_a_difference(monkeypatch, label):
    """Planted: the comparison that finds nothing above finds this."""
    honest = sink.attributes

    def renamed(metric, labels):
        return {key + ".x" * (key == label): value for key, value in honest(metric, labels).items()}

    for module in (sink, measurements):
        monkeypatch.setattr(module, "attributes", renamed)
    with Both() as both:
        native, reading = expositions(both)[0]
        assert differences(native, reading) != []


@cache
def one_run():
    with Both() as both:
        return expositions(both)[0]


@pytest.mark.parametrize("change", ["value", "bucket", "help", "lost"])
def test_a_changed_sample_is_a_difference(monkeypatch, change):
    """Planted likewise: a value off by one, a bucket's bound, a help text, a sample that is lost."""
    native, reading = one_run()
    lines = reading.text.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith(c.CHECKOUTS.prometheus_name) and "twins" in line)
    if change == "value":
        lines[at] = lines[at].rpartition(" ")[0] + " 77.0"
    elif change == "lost":
        del lines[at]
    elif change == "help":
        lines = [line.replace("Requests that entered", "Requests which entered") for line in lines]
    else:
        lines = [line.replace('le="0.075"', 'le="0.08"') for line in lines]
    assert lines != reading.text.splitlines()
    assert differences(native, Exposition("\n".join(lines) + "\n")) != []
