"""What is no fault is not named: health, idleness, a cold start, a burst, a restart, limits that somebody wanted."""

import asyncio
import threading
import time

import pytest

from driving import kits, together
from findings.sizes import keepalive_below_concurrency, slow
from findings.stage import alone, asynchronous, run, until, workers  # noqa: F401 - a fixture
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
    """Sixty at once over ten connections, each 80 ms: half a second of a full pool and a queue, once."""
    with Server(slow(0.08)) as server:
        async with stage.judged(limits=stage.limits(10)) as client:
            await workers(60, 1, lambda: client.get(server.url()))


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
async def client_per_job(stage, repaired):
    """Twelve clients, each for a job of three requests."""
    with Server() as server:
        for number in range(12):
            async with stage.client() as client:
                await workers(1, 3, lambda client=client: client.get(server.url()))
                if number == 11:
                    stage.judge(client)


@asynchronous
async def no_keepalive_at_all(stage, repaired):
    """A limit of no idle connection is somebody's will."""
    with Server() as server:
        async with stage.judged(limits=stage.limits(10, 0)) as client:
            await workers(2, 20, lambda: client.get(server.url()))


@asynchronous
async def two_origins(stage, repaired):
    """Both as slow, both waiting, one of them asked more often, over connections that all stay idle."""
    with Server(slow(0.02)) as one, Server(slow(0.02)) as other:
        async with stage.judged(limits=stage.limits(4)) as client:
            await asyncio.gather(
                workers(9, 4, lambda: client.get(one.url())), workers(6, 4, lambda: client.get(other.url()))
            )


@asynchronous
async def slow_origin(stage, repaired):
    """A slow origin that more is asked of than two connections can give, and a fast one beside it."""
    with Server(slow(0.2)) as one, Server() as other:
        async with stage.judged(limits=stage.limits(2)) as client:
            await asyncio.gather(
                workers(4, 4, lambda: client.get(one.url())), workers(6, 3, lambda: client.get(other.url()))
            )


def holding(release):
    """Answer the first request when this is set, all others at once."""

    def script(peer):
        for _ in peer.requests():
            release.wait(10)
            peer.respond(200, b"ok")

    return script


@asynchronous
async def racing_callers(stage, repaired):
    """Four callers cancel at once what they no longer need: they were not impatient."""
    release = threading.Event()
    with Server(holding(release)) as server:
        async with stage.judged(limits=stage.limits(1)) as client:
            holder = asyncio.create_task(client.get(server.url()))
            await until(client, lambda pool: pool.active == 1)
            losers = [asyncio.create_task(client.get(server.url())) for _ in range(4)]
            await until(client, lambda pool: pool.waiting == 4)
            for loser in losers:
                loser.cancel()
            await asyncio.gather(*losers, return_exceptions=True)
            release.set()
            await holder


@asynchronous
async def patient_callers(stage, repaired):
    """Four callers wait for more than a second and get what they waited for."""
    release = threading.Event()
    with Server(holding(release)) as server:
        async with stage.judged(limits=stage.limits(1)) as client:
            calls = [asyncio.create_task(client.get(server.url())) for _ in range(5)]
            await until(client, lambda pool: len(pool.waiting_seconds) == 4 and pool.waiting_seconds[-1] > 1)
            release.set()
            await asyncio.gather(*calls)


@asynchronous
async def rare_lag(stage, repaired):
    """The event loop stands still three times, and most hand-overs know nothing of it."""
    with Server() as server:
        async with stage.judged(limits=stage.limits(10, 0)) as client:
            for _ in range(3):
                request = asyncio.create_task(client.get(server.url()))
                asyncio.get_running_loop().call_soon(time.sleep, 0.3)
                await request
                await workers(1, 5, lambda: client.get(server.url()))
            assert client._transport.observer.pool.seen.late_times >= 3


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
    client_per_job,
    racing_callers,
    patient_callers,
    rare_lag,
]


@pytest.mark.parametrize("program", QUIET, ids=lambda program: program.__name__)
def test_what_is_no_fault_is_not_named(program):
    inside, outside = run(program, repaired=False)
    assert inside == {}
    assert outside == {"native": {}, "OpenTelemetry": {}}


def test_two_equal_origins_do_not_starve_each_other():
    """They take each other's connections, and that is named."""
    inside, outside = run(two_origins, repaired=False)
    for found in (inside, *outside.values()):
        assert "keepalive-equal-to-max" in found
        assert "origin-starvation" not in found


def test_a_pool_that_one_origin_fills_is_not_called_too_small():
    """The finding that explains it stands for it."""
    inside, outside = run(slow_origin, repaired=False)
    for found in (inside, *outside.values()):
        assert "origin-starvation" in found
        assert "pool-too-small" not in found


def test_httpx2_is_a_way_out_of_the_keepalive_limits_fault():
    """The program that httpcore 1.x fails with loses no connection on httpcore2."""
    inside, outside = run(keepalive_below_concurrency, repaired=False, http="httpx2")
    assert inside == {}
    assert outside == {"native": {}, "OpenTelemetry": {}}
