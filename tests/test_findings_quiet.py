"""What is no fault is not named: health, idleness, a cold start, a burst, a restart, limits that somebody wanted."""

import asyncio
import threading

import pytest

from driving import kits, together
from findings.sizes import keepalive_below_concurrency, slow
from findings.stage import alone, asynchronous, run, workers  # noqa: F401 - a fixture
from harness import Server
from poolscope.cli._diagnoses import since_start


@kits()
def test_a_healthy_program_has_no_finding(kit):
    """Five workers on ten connections, in every flavour and colour: nothing from inside, nothing from outside."""
    with Server() as server:

        async def story(driver):
            async def worker():
                for _ in range(20):
                    await driver.get(server.url())

            await together(*[worker] * 5)
            assert driver.transport.diagnose() == []
            (pool,) = since_start(kit.scrape().text.encode(), "this", 0.0).pools
            assert pool.findings == ()

        kit.run(story, limits=kit.limits(10, 10))


@asynchronous
async def idle(stage, repaired):
    async with stage.judged():
        pass


@asynchronous
async def cold_start(stage, repaired):
    with Server() as server:
        async with stage.judged() as client:
            await client.get(server.url())


@asynchronous
async def pool_of_one(stage, repaired):
    with Server() as server:
        async with stage.judged(limits=stage.limits(1)) as client:
            await workers(1, 60, lambda: client.get(server.url()))


@asynchronous
async def burst(stage, repaired):
    """Fifty at once over ten connections, of which five may stay: once."""
    with Server(slow(0.02)) as server:
        async with stage.judged(limits=stage.limits(10, 10)) as client:
            await workers(50, 1, lambda: client.get(server.url()))


@asynchronous
async def burst_over_the_keepalive_limit(stage, repaired):
    """Thirty at once, of which five connections may stay: once."""
    all_there = threading.Barrier(30)

    def script(peer):
        for _ in peer.requests():
            all_there.wait(10)
            peer.respond(200, b"ok")

    with Server(script) as server:
        async with stage.judged(limits=stage.limits(30, 5)) as client:
            await workers(30, 1, lambda: client.get(server.url()))


@asynchronous
async def server_restarts(stage, repaired):
    """The server closes all twelve connections once, while they are idle; the client opens as many again."""
    closing, all_there = threading.Event(), threading.Barrier(12)

    def script(peer):
        peer.request()
        all_there.wait(10)
        peer.respond(200, b"ok")
        if peer.number <= 12:
            closing.wait(10)
        else:
            peer.until_closed()

    with Server(script) as server:
        async with stage.judged(limits=stage.limits(12)) as client:
            await workers(12, 1, lambda: client.get(server.url()))
            closing.set()
            await asyncio.to_thread(lambda: [thread.join() for thread in server._threads])
            await workers(12, 1, lambda: client.get(server.url()))
            assert server.accepted == 24


@asynchronous
async def default_limits(stage, repaired):
    """A hundred connections that one would do for: httpx chose that, nobody else."""
    with Server() as server:
        async with stage.judged() as client:
            await workers(1, 220, lambda: client.get(server.url()))


@asynchronous
async def one_patient_request(stage, repaired):
    """One request of three has no pool timeout: it is meant."""
    with Server() as server:
        async with stage.judged(limits=stage.limits(10, 0)) as client:
            for timeout in (5, None, 5):
                await client.get(server.url(), timeout=timeout)


@asynchronous
async def no_keepalive_at_all(stage, repaired):
    """A limit of no idle connection is somebody's will."""
    with Server() as server:
        async with stage.judged(limits=stage.limits(10, 0)) as client:
            await workers(2, 20, lambda: client.get(server.url()))


@asynchronous
async def two_origins(stage, repaired):
    """Both as slow, both waiting, over connections that all stay idle."""
    with Server(slow(0.02)) as one, Server(slow(0.02)) as other:
        async with stage.judged(limits=stage.limits(4)) as client:
            await asyncio.gather(
                workers(6, 2, lambda: client.get(one.url())), workers(6, 2, lambda: client.get(other.url()))
            )


QUIET = [
    idle,
    cold_start,
    pool_of_one,
    burst,
    burst_over_the_keepalive_limit,
    server_restarts,
    no_keepalive_at_all,
    default_limits,
    one_patient_request,
]


@pytest.mark.parametrize("program", QUIET, ids=lambda program: program.__name__)
def test_what_is_no_fault_is_not_named(program):
    inside, outside = run(program, repaired=False)
    assert inside == {}
    assert outside == {"native": {}, "OpenTelemetry": {}}


def test_two_equal_origins_do_not_starve_each_other():
    """They take each other's connections, and that is what is named."""
    inside, outside = run(two_origins, repaired=False)
    assert set(inside) == set(outside["native"]) == set(outside["OpenTelemetry"]) == {"keepalive-equal-to-max"}


def test_httpx2_is_a_way_out_of_the_keepalive_limits_fault():
    """The program that httpcore 1.x fails with loses no connection on httpcore2."""
    inside, outside = run(keepalive_below_concurrency, repaired=False, http="httpx2")
    assert inside == {}
    assert outside == {"native": {}, "OpenTelemetry": {}}
