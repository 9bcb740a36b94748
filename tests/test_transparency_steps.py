"""Law 1, step by step: a wrapped request suspends as often as a bare one, and breaks as it does at each step."""

import types
from contextvars import Context

import httpx
import pytest

from harness import stranger_context
from poolscope import InstrumentedTransport
from transparency import describe
from transparency.colours import FLAVOURS, Sync, drive
from transparency.compare import differences
from transparency.stepping import Network, Stepped, cancelled_at, in_memory
from transparency.subjects import bare, with_sink

# trio tells so of httpx's own generators, bare or wrapped; test_transparency.py compares how often
pytestmark = pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n2\r\nok\r\n0\r\n\r\n"
CLOSING = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"

# name: (the answer, the URL, options of the transport)
ROADS = {
    "plain": (LENGTH, "http://origin.test/", {}),
    "chunked": (CHUNKED, "http://origin.test/", {}),
    "closing": (CLOSING, "http://origin.test/", {}),
    "no keep-alive": (LENGTH, "http://origin.test/", {"keepalive": 0}),
    "secure": (LENGTH, "https://origin.test/", {}),
    "http2": (b"", "https://origin.test/", {"http2": True}),
    "forward proxy": (LENGTH, "http://origin.test/", {"proxy": "http://proxy.test:3128"}),
    "tunnel proxy": (LENGTH, "https://origin.test/", {"proxy": "http://proxy.test:3128"}),
}


class Stage:
    """One client on a network in memory, and the requests made with it."""

    def __init__(self, flavour, colour, wrap, road, interrupt=0):
        self.flavour, self.is_async = flavour, colour != "sync"
        answer, self.url, options = ROADS[road]
        self.network = Network(answer, http2="http2" in options, interrupt=interrupt)
        httpx = flavour.httpx
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=options.get("keepalive"))
        options = {key: value for key, value in options.items() if key != "keepalive"}
        if "proxy" in options:
            options["proxy"] = httpx.Proxy(options["proxy"])
        kind = httpx.AsyncHTTPTransport if self.is_async else httpx.HTTPTransport
        transport = kind(limits=limits, verify=stranger_context(), **options)
        transport._pool._network_backend = in_memory(flavour.core, self.network, is_async=self.is_async)
        self.transport = wrap(self, transport)
        client = (httpx.AsyncClient if self.is_async else httpx.Client)(transport=self.transport, timeout=None)
        self.client = client if self.is_async else Sync(client)

    async def request(self, *, whole=True, **options):
        async with self.client.stream("POST", self.url, content=b"body", **options) as response:
            async for _ in response.aiter_raw():
                if not whole:
                    break

    def left(self) -> dict:
        return {"pools at: the end": [describe.pool(self.transport)], "calls": list(self.network.calls)}

    async def next_request(self) -> str:
        timeout = self.flavour.httpx.Timeout(None, pool=0.05)
        try:
            await self.request(timeout=timeout)
        except Exception as exc:
            return type(exc).__name__
        return "well"


async def stepped(stage) -> dict:
    record = {}
    for name in ("first", "second", "half-read"):
        steps = Stepped(stage.request(whole=name != "half-read"))
        await steps
        record[f"{name} suspends"] = steps.suspensions
    steps = Stepped(stage.client.aclose())
    await steps
    return {**record, "close suspends": steps.suspensions, **stage.left()}


async def broken_at(stage, colour, k, *, warm) -> dict:
    if warm:
        await stage.request()
    ending, suspensions = await cancelled_at(colour, stage.request(), k)
    record = {"ending": ending, "suspensions": suspensions, **stage.left()}
    record["next"] = await stage.next_request()
    await stage.client.aclose()
    return {**record, "later": stage.left()["calls"]}


def both_flavours(function):
    return pytest.mark.parametrize("flavour", FLAVOURS, ids=lambda flavour: flavour.name)(function)


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("loop", ["asyncio", "trio"])
@both_flavours
def test_wrapped_request_suspends_exactly_as_often(flavour, loop, road):
    plain, wrapped = (drive(loop, stepped, Stage(flavour, loop, wrap, road)) for wrap in (bare, with_sink))
    assert plain["first suspends"] > plain["second suspends"] > 0 or ROADS[road][2] or road == "closing"
    assert differences(plain, wrapped) == []


@pytest.mark.parametrize("warm", [False, True], ids=["new connection", "reused"])
@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("loop", ["asyncio", "trio"])
@both_flavours
def test_cancel_at_each_suspension_leaves_the_same_pool(flavour, loop, road, warm):
    k, endings = 0, []
    while not endings or endings[-1] != "well":
        k += 1
        plain, wrapped = (
            drive(loop, lambda wrap=wrap, k=k: broken_at(Stage(flavour, loop, wrap, road), loop, k, warm=warm))
            for wrap in (bare, with_sink)
        )
        assert differences(plain, wrapped) == [], f"cancelled at suspension {k}"
        endings.append(plain["ending"] if plain["suspensions"] >= k else "well")
    assert k > 3
    assert "cancelled" in endings


@pytest.mark.parametrize("road", ROADS)
@both_flavours
def test_interrupt_at_each_network_call_leaves_the_same_pool(flavour, road):
    def interrupted_at(wrap, k):
        stage = Stage(flavour, "sync", wrap, road, interrupt=k)
        record = {"interrupted": False}
        try:
            drive("sync", stage.request)
        except KeyboardInterrupt as exc:
            record = {"interrupted": True, "raised": describe.exception(exc, flavour), **stage.left()}
        stage.network.interrupt = 0
        record["next"] = drive("sync", stage.next_request)
        drive("sync", stage.client.aclose)
        return {**record, "later": stage.left()}

    k, interrupted = 0, True
    while interrupted:
        k += 1
        plain, wrapped = interrupted_at(bare, k), interrupted_at(with_sink, k)
        assert differences(plain, wrapped) == [], f"interrupted at call {k}"
        interrupted = plain["interrupted"]
    assert k > 3


def test_a_request_may_be_driven_on_in_another_context():
    """Whoever drives its coroutine step by step may do so from anywhere: the response comes as from the bare one."""

    @types.coroutine
    def suspend():
        yield

    class Slow(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request):
            await suspend()
            return httpx.Response(204)

    async def steps(transport):
        return (await transport.handle_async_request(httpx.Request("GET", "http://localhost/"))).status_code

    for transport in (Slow(), InstrumentedTransport(Slow(), sinks=[])):
        coroutine = steps(transport)
        Context().run(coroutine.send, None)
        with pytest.raises(StopIteration) as ended:
            Context().run(coroutine.send, None)
        assert ended.value.value == 204
