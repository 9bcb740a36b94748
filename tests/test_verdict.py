"""Why a PoolTimeout happened, on real pools: each cause provoked, and named for no other's situation."""

import gc
import json
import logging
import threading
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

import poolscope
from driving import AsyncDriver, SyncDriver, held, holding, kits, reached, together
from harness import HttpProxy, Server, client_context, server_context, stranger_context
from poolscope import _contract as c

COLOURS = ["asyncio", "sync"]


async def denied(kit, driver, url, seconds=0.15, **options):
    """Send a request that ends in PoolTimeout; give the exception and its verdict."""
    timeout = kit.http.Timeout(10, pool=seconds)
    (outcome,) = await together(lambda: driver.get(url, timeout=timeout, **options))
    assert isinstance(outcome, kit.http.PoolTimeout), outcome
    return outcome, poolscope.verdict(outcome)


async def ask(kit, driver, url, *, stream=False):
    """Send a request from a line of this file, which a verdict can name."""
    request = driver.client.build_request("GET", url)
    if kit.colour == "sync":
        return await anyio.to_thread.run_sync(lambda: driver.client.send(request, stream=stream))
    return await driver.client.send(request, stream=stream)


async def forget(kit, driver, url):
    """Send a request and let go of its response, unread and unclosed."""
    request = driver.client.build_request("GET", url)
    if kit.colour == "sync":
        await anyio.to_thread.run_sync(lambda: driver.client.send(request, stream=True) and None)
    else:
        await driver.client.send(request, stream=True)
    gc.collect()


async def first_part(kit, response):
    """Read the first part of a body; give the iterator, which must live."""
    if kit.colour == "sync":
        parts = response.iter_raw()
        await anyio.to_thread.run_sync(next, parts)
    else:
        parts = response.aiter_raw()
        await anext(parts)
    return parts


async def by_slow_origin(kit, driver, origin, other):
    async with holding(driver, origin):
        return await denied(kit, driver, origin.url())


async def by_other_origin(kit, driver, origin, other):
    async with holding(driver, other):
        return await denied(kit, driver, origin.url())


async def by_connecting(kit, driver, origin, other):
    """TLS begins and is not answered."""

    def silent(peer):
        peer.receive()
        peer.reached("held")
        peer.wait("go")

    with Server(silent) as mute:
        async with holding(driver, mute, mute.url().replace("http:", "https:")):
            return await denied(kit, driver, origin.url())


async def by_streaming(kit, driver, origin, other):
    def half(peer):
        peer.request()
        peer.respond_head(200, parts=[b"half"])
        peer.until_closed()

    with Server(half) as long:
        response = await driver.open(long.url())
        parts = await first_part(kit, response)
        try:
            return await denied(kit, driver, origin.url())
        finally:
            await driver.close(response)
            del parts


async def by_unread(kit, driver, origin, other):
    origin.gate("go").set()
    response = await driver.open(origin.url())
    try:
        return await denied(kit, driver, origin.url())
    finally:
        await driver.close(response)


async def by_leaked(kit, driver, origin, other):
    origin.gate("go").set()
    await forget(kit, driver, origin.url())
    return await denied(kit, driver, origin.url())


STORIES = {
    c.SLOW_ORIGIN: by_slow_origin,
    c.OTHER_ORIGIN: by_other_origin,
    c.CONNECTING: by_connecting,
    c.STREAMING: by_streaming,
    c.UNREAD: by_unread,
    c.LEAKED_SLOTS: by_leaked,
}


@kits(colours=COLOURS)
@pytest.mark.parametrize("cause", STORIES)
def test_each_cause_is_named_for_its_own_situation(kit, cause):
    """In the verdict, in its text and in the metric, and nothing else is."""
    found = []
    with Server(held) as origin, Server(held) as other:

        async def story(driver):
            exc, verdict = await STORIES[cause](kit, driver, origin, other)
            (note,) = exc.__notes__
            assert note == f"poolscope: {verdict}"
            assert note.startswith(f"poolscope: {cause}: 1 of 1 connections")
            found.append(verdict)
            other.gate("go").set()

        seen = kit.run(story, limits=kit.limits(1, 1))
    (verdict,) = found
    assert (verdict.cause, verdict.pool, verdict.max_connections) == (cause, "pool", 1)
    assert verdict.origin == f"127.0.0.1:{origin.port}"
    assert verdict.waited_seconds >= 0.15
    assert len(verdict.holders) == len(verdict.oldest) == verdict.in_use == 1
    assert seen(c.TIMEOUTS, cause=cause) == seen(c.TIMEOUTS) == 1


@kits(colours=COLOURS)
def test_a_slot_that_the_pool_lost_is_named(kit):
    """TLS fails behind a tunnel proxy: the slot is gone, on httpcore and on httpcore2."""
    found = []
    with HttpProxy() as proxy, Server(tls=server_context()) as secure:

        async def story(driver):
            (failed,) = await together(lambda: driver.get(secure.url()))
            assert isinstance(failed, kit.http.ConnectError)
            found.append((await denied(kit, driver, secure.url(), 0.4))[1])

        seen = kit.run(story, limits=kit.limits(1, 1), proxy=proxy.url, verify=stranger_context())
    assert (found[0].cause, found[0].orphaned) == (c.ORPHANED_SLOTS, 1)
    assert found[0].oldest[0].phase == "orphaned"
    assert seen(c.TIMEOUTS, cause=c.ORPHANED_SLOTS) == 1


@kits(colours=COLOURS)
def test_a_burst_is_no_slow_origin(kit):
    """The slots change hands all the time, and there are more requests than they serve within the wait."""
    verdicts = []

    def quick(peer):
        peer.request()
        begin.wait(30)
        never.acquire(timeout=0.1)
        peer.respond(200, b"ok", [("connection", "close")])

    begin, never = threading.Event(), threading.Semaphore(0)
    with Server(quick) as server:

        async def story(driver):
            async def ahead():
                await together(lambda: driver.get(server.url(), timeout=20))

            async with anyio.create_task_group() as group:
                for _ in range(34):
                    group.start_soon(ahead)
                while driver.transport.snapshot().waiting < 32:  # two hold, and nobody is answered yet
                    await anyio.lowlevel.checkpoint()
                begin.set()
                verdicts.append((await denied(kit, driver, server.url(), 0.8))[1])

        kit.run(story, limits=kit.limits(2, 2))
    assert verdicts[0].cause == c.BURST, str(verdicts[0])


@kits(colours=COLOURS)
def test_what_cannot_be_seen_is_unknown(kit):
    """A connection that is older than the instrumentation holds the only slot."""
    sync = kit.colour == "sync"

    async def main():
        client = (kit.http.Client if sync else kit.http.AsyncClient)(limits=kit.limits(1, 1))
        driver = (SyncDriver if sync else AsyncDriver)(client, None)
        with Server() as server:
            response = await driver.open(server.url())
            poolscope.instrument(client, name="late", sinks=[])
            _, verdict = await denied(kit, driver, server.url())
            assert (verdict.cause, verdict.in_use, verdict.holders) == (c.UNKNOWN, 0, ())
            await driver.close(response)
            await driver.close_client()

    anyio.run(main)


@dataclass
class ApiError(Exception):
    """An SDK's own exception; as a dataclass it has no hash."""

    status: int


@kits(colours=COLOURS)
def test_an_exception_that_a_pool_timeout_caused_has_its_verdict(kit):
    """An SDK wraps the exception; the verdict is found along the chain, and nowhere else."""
    with Server(held) as server:

        async def story(driver):
            async with holding(driver, server):
                exc, verdict = await denied(kit, driver, server.url("/secret?token=secret"))
            assert vars(exc).keys() - {"_request", "request"} == {"__notes__"}
            assert (type(exc), exc.args, str(exc)) == (kit.http.PoolTimeout, ("",), "")
            wrapped = ConnectionError("no connection")
            wrapped.__cause__ = exc
            assert poolscope.verdict(wrapped) is verdict
            unhashable = ApiError(503)
            unhashable.__cause__ = wrapped
            assert poolscope.verdict(unhashable) is verdict
            assert poolscope.verdict(ConnectionError()) is None
            with pytest.raises(TypeError, match="exc takes an exception, got 'exc'"):
                poolscope.verdict("exc")
            assert json.loads(json.dumps(verdict.as_dict()))["cause"] == verdict.cause
            assert "secret" not in f"{verdict}{verdict!r}"

        kit.run(story, limits=kit.limits(1, 1))


@kits(colours=COLOURS)
def test_the_log_has_one_line_in_a_while(kit, caplog):
    """With the verdict as plain values, and how many were left out; nothing of the request's URL but its origin."""
    with Server(held) as server:

        async def story(driver):
            async with holding(driver, server):
                for _ in range(3):
                    await denied(kit, driver, server.url("/secret"), 0.02)
            verdicts = [record for record in caplog.records if "PoolTimeout" in record.getMessage()]
            assert len(verdicts) == 1
            (line,) = verdicts
            assert (line.name, line.levelno) == ("poolscope", logging.WARNING)
            assert line.poolscope_verdict["pool"] == "pool"
            assert "\n" not in line.getMessage()
            assert "secret" not in f"{vars(line)}"
            driver.transport.observer.diagnosis.explain.__self__._logged._next_at = 0.0
            server.gate("go").clear()
            server.gate("held").clear()
            async with holding(driver, server):
                await denied(kit, driver, server.url(), 0.02)
            assert "; 2 more since the last of these lines" in caplog.records[-1].getMessage()

        kit.run(story, limits=kit.limits(1, 1))


@kits(flavours=["httpx"], colours=["asyncio"])
def test_many_at_once_take_few_pictures(kit, monkeypatch):
    """Each has its verdict and a short note; the pool is looked at ten times a second at most."""
    with Server(held) as server:

        async def story(driver):
            looks = []
            observer = driver.transport.observer
            snapshot = type(observer).snapshot
            monkeypatch.setattr(type(observer), "snapshot", lambda self: looks.append(1) or snapshot(self))
            async with holding(driver, server):
                timeout = kit.http.Timeout(60, pool=0.3)
                begun = time.monotonic()
                outcomes = await together(*[lambda: driver.get(server.url(), timeout=timeout)] * 400)
                lasted = time.monotonic() - begun
            verdicts = [poolscope.verdict(outcome) for outcome in outcomes]
            assert {verdict.cause for verdict in verdicts} == {c.SLOW_ORIGIN}
            assert max(len(outcome.__notes__[0]) for outcome in outcomes) < 1000
            assert len(looks) <= lasted / 0.1 + 1
            assert max(verdict.ahead for verdict in verdicts) > 0

        seen = kit.run(story, limits=kit.limits(1, 1))
    assert seen(c.TIMEOUTS, cause=c.SLOW_ORIGIN) == 400


@kits(flavours=["httpx"], colours=["asyncio"])
def test_a_picture_from_before_a_request_came_judges_it_not(kit):
    """Who held the slot then may have ended since."""
    with Server(held) as server:

        async def story(driver):
            async with holding(driver, server):
                _, found = await denied(kit, driver, server.url(), 0.02)
                assert found.oldest[0].phase == "awaiting headers"
            response = await driver.open(server.url())
            _, found = await denied(kit, driver, server.url(), 0.02)
            assert [group.phase for group in found.holders] == ["unread"]
            await driver.close(response)

        kit.run(story, limits=kit.limits(1, 1))


@kits(colours=["asyncio", "trio", "sync"])
def test_the_holder_is_found_in_the_program(kit):
    """By default where it waits inside the transport now, in asyncio alone: threads' frames may go while one looks."""
    found = []
    with Server(held) as server:

        async def story(driver):
            async with holding(driver, server, get=partial(ask, kit, driver)):
                found.append((await denied(kit, driver, server.url()))[1].oldest[0])

        kit.run(story, limits=kit.limits(1, 1))
    (holder,) = found
    if kit.colour != "asyncio":
        assert (holder.place, holder.runner) == ("", "")
        return
    path, _, number = holder.place.rpartition(":")
    assert path == __file__
    assert "driver.client.send" in Path(path).read_text().splitlines()[int(number) - 1]
    assert holder.runner.startswith("task '")


@kits(colours=["asyncio"])
def test_the_search_for_holders_is_bounded(kit, monkeypatch):
    """Past so many frames the verdict does without the place."""
    monkeypatch.setattr("poolscope.diagnosis._places._MOST_FRAMES_IN_ALL", 0)
    found = []
    with Server(held) as server:

        async def story(driver):
            async with holding(driver, server, get=partial(ask, kit, driver)):
                found.append((await denied(kit, driver, server.url()))[1])

        kit.run(story, limits=kit.limits(1, 1))
    (verdict,) = found
    assert verdict.cause == c.SLOW_ORIGIN
    assert (verdict.oldest[0].place, verdict.oldest[0].runner) == ("", "")


@kits(colours=["asyncio", "trio", "sync"])
def test_a_response_that_waits_to_be_read_is_placed_where_call_sites_are_noted(kit):
    """Nothing runs for it, so nothing but the option tells."""
    for call_sites in (False, True):
        found = []
        with Server() as server:

            async def story(driver, server=server, found=found):
                response = await ask(kit, driver, server.url(), stream=True)
                found.append((await denied(kit, driver, server.url()))[1].oldest[0])
                await driver.close(response)

            kit.run(story, limits=kit.limits(1, 1), call_sites=call_sites)
        assert found[0].phase == "unread"
        assert (__file__ in found[0].place) is call_sites
        assert found[0].runner.startswith(("task ", "thread ")) is call_sites


@kits(colours=["asyncio"])
def test_http2_says_who_connects(kit):
    """A verdict over TLS with HTTP/2 on: the slot is the connection's, whoever shares it."""
    with Server(held) as other, Server(held, tls=server_context()) as server:

        async def story(driver):
            async with holding(driver, server):
                _, verdict = await denied(kit, driver, other.url())
            assert (verdict.cause, verdict.in_use) == (c.OTHER_ORIGIN, 1)
            other.gate("go").set()

        kit.run(story, limits=kit.limits(1, 1), http2=True, verify=client_context())


@kits()
def test_a_request_with_a_body_sends_and_then_awaits_headers(kit):
    """The phases of a hold, on a new connection and on a kept one: the server reads the body when it is told to."""
    body = b"x" * 30_000_000  # more than sockets buffer

    def script(peer):
        for turn in ("first", "second"):
            request = peer.request(body=False)
            peer.reached(f"{turn} head")
            peer.wait(f"{turn} read")
            peer.read_body(request)
            peer.reached(f"{turn} body")
            peer.wait(f"{turn} go")
            peer.respond(200, b"ok")

    def phases(driver):
        return [slot.phase for slot in driver.transport.snapshot().held]

    with Server(script) as server:

        async def story(driver):
            for turn in ("first", "second"):
                async with anyio.create_task_group() as group:
                    group.start_soon(partial(driver.request, "POST", server.url(), content=body))
                    await reached(server, f"{turn} head")
                    assert phases(driver) == ["sending"]
                    server.gate(f"{turn} read").set()
                    await reached(server, f"{turn} body")
                    while phases(driver) != ["awaiting headers"]:
                        await anyio.lowlevel.checkpoint()
                    server.gate(f"{turn} go").set()

        assert kit.run(story, limits=kit.limits(1, 1))(c.OPENED) == 1
