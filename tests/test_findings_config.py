"""What is seen of configuration and of single moments: timeouts, proxies, arguments, forgotten responses, loops."""

import asyncio
import dataclasses
import threading
import time

import anyio
import httpx
import pytest

import poolscope
from driving import kits, reached
from findings.sizes import pool_too_small, twelve_workers
from findings.stage import Stage, alone, run, until  # noqa: F401 - a fixture
from harness import HttpProxy, Server
from poolscope import Finding, InstrumentedSyncTransport, InstrumentedTransport, instrument
from poolscope.diagnosis import _source


def codes(found):
    return {finding.code for finding in found}


@kits()
@pytest.mark.parametrize(
    ("timeout", "code"),
    [
        (None, "no-pool-timeout"),
        ({"timeout": 5, "pool": None}, "no-pool-timeout"),
        ({"timeout": 1, "pool": 60}, "pool-timeout-too-long"),
        ({"timeout": None, "pool": 5}, None),
        ({"timeout": 5}, None),
        ({"timeout": 600, "connect": 5}, None),
    ],
)
def test_the_timeouts_of_a_request_that_opens_a_connection_are_seen(kit, timeout, code):
    """In every flavour and colour; what httpx and the openai SDK set by themselves is in order."""
    with Server() as server:

        async def story(driver):
            driver.client.timeout = kit.http.Timeout(**timeout) if timeout else timeout
            await driver.get(server.url())
            assert codes(driver.transport.diagnose()) == ({code} if code else set())

        kit.run(story)


def test_a_pool_without_a_limit_needs_no_pool_timeout():
    """Nobody waits there; that it has no limit is said."""

    async def main():
        transport = InstrumentedTransport(sinks=[], limits=httpx.Limits(max_connections=None))
        async with httpx.AsyncClient(transport=transport, timeout=None) as client:
            await client.get(server.url())
        return transport.diagnose()

    with Server() as server:
        assert codes(asyncio.run(main())) == {"unbounded-pool"}


def test_a_request_that_waits_for_half_a_minute_is_named_while_it_waits():
    """No wait has ended yet, so no histogram has it; the clock runs ahead by 40 s."""

    def script(peer):
        for _ in peer.requests():
            answering.wait(10)
            peer.respond(200, b"ok")

    async def main():
        stage = Stage()
        async with stage.client(timeout=httpx.Timeout(60), limits=stage.limits(1)) as client:
            requests = [asyncio.create_task(client.get(server.url())) for _ in range(2)]
            await until(client, lambda pool: pool.active == 1)
            client._transport.observer.clock = lambda: time.monotonic() + 40
            stage.judge(client)
            answering.set()
            await asyncio.gather(*requests)
        stage.both.provider.shutdown()
        return stage.inside, stage.outside

    answering = threading.Event()
    with Server(script) as server:
        inside, outside = asyncio.run(main())
    assert set(inside) == set(outside["native"]) == {"pool-timeout-too-long"}
    assert inside["pool-timeout-too-long"].evidence["oldest_wait_seconds"] > 30


@kits()
def test_a_forgotten_response_is_named_after_half_a_minute(kit):
    """It came, nobody reads it, and it holds its slot; before that time it is a response like any other."""
    with Server() as server:

        async def story(driver):
            response = await driver.open(server.url())
            driver.transport.observer.clock = lambda: time.monotonic() + 20
            assert driver.transport.diagnose() == []
            driver.transport.observer.clock = lambda: time.monotonic() + 40
            (finding,) = driver.transport.diagnose()
            assert (finding.code, finding.severity) == ("responses-not-closed", "error")
            assert finding.evidence["oldest_forgotten_seconds"] > 30
            driver.transport.observer.clock = time.monotonic
            await driver.close(response)
            assert driver.transport.diagnose() == []

        kit.run(story)


@kits()
def test_an_upgraded_connection_is_not_forgotten(kit):
    """The response to a WebSocket's handshake has no body that anybody would read; a verdict says that it streams."""

    def script(peer):
        peer.request()
        peer.respond(101, headers=[("connection", "upgrade"), ("upgrade", "echo")])
        peer.until_closed()

    with Server(script) as server:

        async def story(driver):
            response = await driver.open(server.url(), headers={"connection": "upgrade", "upgrade": "echo"})
            driver.transport.observer.clock = lambda: time.monotonic() + 40
            (held,) = driver.transport.snapshot().held
            assert (held.phase, held.age_seconds > 30) == ("streaming", True)
            assert driver.transport.diagnose() == []
            driver.transport.observer.clock = time.monotonic
            await driver.close(response)

        kit.run(story)


def test_a_response_that_is_awaited_is_not_forgotten():
    """A slow server holds a slot for as long; that is no response left unclosed."""

    async def main():
        transport = InstrumentedTransport(sinks=[])
        async with httpx.AsyncClient(transport=transport, timeout=10) as client, anyio.create_task_group() as group:
            group.start_soon(client.get, server.url())
            await reached(server, "asked")
            transport.observer.clock = lambda: time.monotonic() + 60
            found = transport.diagnose()
            server.gate("go").set()
        return found

    def script(peer):
        peer.request()
        peer.reached("asked")
        peer.wait("go")
        peer.respond(200, b"ok")

    with Server(script) as server:
        assert asyncio.run(main()) == []


def test_trio_has_no_loop_that_a_client_belongs_to():
    """A connection of one run serves another."""

    async def use():
        await client.get(server.url())

    transport = InstrumentedTransport(sinks=[])
    client = httpx.AsyncClient(transport=transport)
    with Server() as server:
        for _ in range(2):
            anyio.run(use, backend="trio")
        assert (server.accepted, len(server.requests)) == (1, 2)
        assert transport.diagnose() == []
        anyio.run(client.aclose, backend="trio")


def test_a_transport_that_was_closed_may_be_used_in_another_loop():
    """It opens new connections there."""

    async def use():
        async with httpx.AsyncClient(transport=transport) as client:
            await client.get(server.url())

    transport = InstrumentedTransport(sinks=[])
    with Server() as server:
        for _ in range(2):
            asyncio.run(use())
        assert (server.accepted, transport.diagnose()) == (2, [])


def test_a_sync_client_may_be_used_in_any_event_loop():
    """It does not belong to one, also where it is called on the loop itself and opens its connections there."""

    async def use():
        client.get(server.url())  # noqa: ASYNC212 - the case

    transport = InstrumentedSyncTransport(sinks=[])
    with Server() as server, httpx.Client(transport=transport, headers={"connection": "close"}) as client:
        asyncio.run(use())
        asyncio.run(use())
        assert transport.observer.pool.seen.requests == 2
        assert transport.diagnose() == []


@pytest.fixture
def proxy(monkeypatch):
    with HttpProxy() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        yield proxy


def ignored(client):
    """What a client ignores, after a request."""
    with Server() as server, client:
        client.get(server.url())
        return [finding.evidence["ignored"] for finding in poolscope.diagnose(client)]


def test_a_proxy_environment_that_is_ignored_is_named(proxy):
    """A client with `transport=` goes past the proxy; an instrumented one goes through it, and nothing is said."""
    ours = InstrumentedSyncTransport(sinks=[])
    assert ignored(httpx.Client(transport=ours)) == ["the proxy environment (http_proxy)"]
    assert proxy.accepted == 0
    assert ignored(instrument(httpx.Client(), sinks=[])) == []
    assert proxy.accepted == 1
    assert ignored(httpx.Client(transport=InstrumentedSyncTransport(sinks=[], proxy=httpx.Proxy(proxy.url)))) == []
    assert proxy.accepted == 2
    assert ignored(httpx.Client(transport=InstrumentedSyncTransport(sinks=[]), trust_env=False)) == []


def test_a_mount_that_goes_past_the_transport_is_named():
    """`proxy=` beside `transport=` builds a transport of its own, for every request."""
    with HttpProxy() as proxy:
        client = httpx.Client(transport=InstrumentedSyncTransport(sinks=[]), proxy=proxy.url)
        assert ignored(client) == ["what is mounted at all:// goes past the instrumented transport"]
        assert ignored(instrument(httpx.Client(proxy=proxy.url), sinks=[])) == []


def test_mounts_that_are_instrumented_are_judged_too():
    """A transport that is mounted twice is judged once."""
    mounted = InstrumentedSyncTransport(sinks=[], name="mounted", limits=httpx.Limits(max_connections=None))
    transport = InstrumentedSyncTransport(sinks=[])
    with Server() as server:
        mounts = {server.url()[:-1]: mounted, "http://other.test": mounted}
        with httpx.Client(transport=transport, mounts=mounts) as client:
            client.get(server.url())
            (finding,) = poolscope.diagnose(client)
    assert (finding.code, finding.pool) == ("unbounded-pool", "mounted")


@pytest.mark.parametrize(
    ("call", "lost"),
    [
        ("httpx.AsyncClient(transport=t, limits=x, verify=False)", ["program.py:1 limits, verify"]),
        ("Client(transport=t, http1=False, cert='a')", ["program.py:1 cert, http1"]),
        ("httpx.Client(transport=t, verify=True, http2=False, http1=True, timeout=3)", []),
        ("httpx.Client(limits=x)", []),
        ("httpx.Client(transport=None, limits=x)", []),
        ("Other(transport=t, limits=x)", []),
        ("httpx.Client(**options)", []),
        ("no python (", []),
    ],
)
def test_arguments_that_a_transport_voids_are_found_in_the_source(tmp_path, call, lost):
    file = tmp_path / "program.py"
    file.write_text(call)
    assert _source.ignored_in(str(file)) == lost


LOSING = "lost = lambda transport: httpx.Client(transport=transport, limits=1)"
MADE = "client = httpx.Client(transport=poolscope.InstrumentedSyncTransport(sinks=[]))"
INSTRUMENTED = "client = poolscope.instrument(httpx.Client(), sinks=[])"


@pytest.mark.parametrize(("made", "lost"), [(MADE, ["program.py:2 limits"]), (INSTRUMENTED, [])])
def test_the_source_is_read_where_a_transport_was_passed(tmp_path, made, lost):
    """What an instrumented client's file says of other clients is not its affair."""
    file, names = tmp_path / "program.py", {"__name__": "program"}
    file.write_text(f"import httpx, poolscope\n{LOSING}\n{made}\n")
    exec(compile(file.read_text(), str(file), "exec"), names)
    assert ignored(names["client"]) == lost


def test_a_source_that_is_not_there_says_nothing():
    assert _source.ignored_in("<stdin>") == []


def test_a_finding_says_all_of_it():
    """Frozen, with numbers whose names have units, the line that says them, one sentence of advice, and its page.

    The advice is good: with the size that it names there is no finding.
    """
    inside, _ = run(pool_too_small, repaired=False)
    (finding,) = inside.values()
    assert isinstance(finding, Finding)
    assert finding.evidence["max_connections"] == 4
    assert 8 <= finding.evidence["connections_needed"] <= 16
    assert run(twelve_workers(int(finding.evidence["connections_needed"])), repaired=False)[0] == {}
    assert finding.fix == (
        f"Raise max_connections to {finding.evidence['connections_needed']},"
        " or make requests hold connections for a shorter time."
    )
    assert f"each holding a connection for {finding.evidence['hold_seconds']:.3f} s" in finding.says
    assert finding.url == "docs/findings/pool-too-small.md"
    assert str(finding) == f"warning: pool-too-small: pool 'shop': {finding.says}. {finding.fix} {finding.url}"
    with pytest.raises(dataclasses.FrozenInstanceError):
        finding.code = "other"
    with pytest.raises(TypeError):
        finding.evidence["max_connections"] = 5


def test_who_is_no_instrumented_client_is_told_so():
    with pytest.raises(TypeError, match="client takes an httpx or httpx2 Client or AsyncClient, got 7"):
        poolscope.diagnose(7)
    with httpx.Client() as client, pytest.raises(ValueError, match="client has no instrumented transport, call"):
        poolscope.diagnose(client)


def test_a_transport_without_a_pool_has_no_findings():
    transport = InstrumentedSyncTransport(httpx.MockTransport(lambda request: httpx.Response(200)), sinks=[])
    with httpx.Client(transport=transport) as client:
        client.get("http://any/")
        assert poolscope.diagnose(client) == []
