"""What sinks promise besides equality: late set-up, sharing, caps, limits, and the protocol for a user's own."""

import logging
import os
import re
import subprocess
import sys
from textwrap import dedent

import httpx
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from exposing import Both
from harness import Server, refused_port
from observing import imbalances
from poolscope import InstrumentedSyncTransport, LoggingSink, ObservedPool, OpenTelemetrySink, PrometheusSink
from poolscope import _contract as c
from poolscope import events as e

LATE_SETUP = """
    import httpx, sys
    from opentelemetry import metrics
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from poolscope import InstrumentedSyncTransport, OpenTelemetrySink

    early = httpx.Client(transport=InstrumentedSyncTransport(name="early"))
    for _ in range(3):
        early.get(URL)
    reader = InMemoryMetricReader()
    metrics.set_meter_provider(MeterProvider([reader], shutdown_on_exit=False))
    late = httpx.Client(transport=InstrumentedSyncTransport(name="late"))
    named = httpx.Client(
        transport=InstrumentedSyncTransport(name="named", sinks=[OpenTelemetrySink(metrics.get_meter_provider())])
    )
    for client in (early, late, named):
        for _ in range(4):
            client.get(URL)
        client.close()
    points = {
        (point.attributes["http.client.connection.pool.name"], metric.name): getattr(point, "count", 0) or point.value
        for scope in reader.get_metrics_data().resource_metrics[0].scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
        if metric.name.endswith(("wait_time", "use_time", "checkouts")) and point.attributes["server.port"]
    }
    assert len(reader.get_metrics_data().resource_metrics[0].scope_metrics) == 1
    print(sorted((pool, name.rpartition(".")[2], value) for (pool, name), value in points.items()))
"""


def alone(code: str) -> str:
    """Run code in a process of its own, warnings being errors; give what it printed."""
    command = [sys.executable, "-W", "error", "-c", dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, env=os.environ, check=False)
    assert done.stderr == ""
    return done.stdout.strip()


def test_an_sdk_set_up_late_gets_all_counts_and_the_histograms_from_then_on():
    """A transport made before the SDK counts from its start; nothing waits in memory for an SDK that may never come."""
    with Server() as server:
        printed = alone(LATE_SETUP.replace("URL", repr(server.url())))
    counted = [
        (pool, name, 4) for pool in ("early", "late", "named") for name in ("checkouts", "use_time", "wait_time")
    ]
    counted[0] = ("early", "checkouts", 7)
    assert printed == str(counted)


def test_several_sinks_for_one_registry_or_provider_are_one():
    """In one transport or in several: each request counts once."""
    with Both() as both, Server() as server:
        sinks = [*both.sinks, PrometheusSink(both.native_registry), OpenTelemetrySink(both.provider)]
        for name in ("one", "two"):
            with httpx.Client(transport=InstrumentedSyncTransport(name=name, sinks=sinks)) as client:
                for _ in range(50):  # enough for OpenTelemetry's to be recorded before anybody reads
                    client.get(server.url())
        for seen in (both.native(), both.reading()):
            assert imbalances(seen) == []
            assert seen(c.CHECKOUTS) == seen(c.WAIT_TIME, "_count") == 100
            assert seen(c.POOLS_OPENED) == 2


def test_unlimited_limits_are_a_number_that_every_backend_takes():
    """1e18, and what was set where it was set; a pool that holds nothing says so."""
    with Both() as both:
        unlimited = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        kept = [
            InstrumentedSyncTransport(name="free", sinks=both.sinks, limits=unlimited),
            InstrumentedSyncTransport(name="bound", sinks=both.sinks, limits=httpx.Limits(max_connections=7)),
        ]
        for seen in (both.native(), both.reading()):
            assert (seen(c.MAX, pool_name="free"), seen(c.IDLE_MAX, pool_name="free")) == (1e18, 1e18)
            assert (seen(c.MAX, pool_name="bound"), seen(c.IDLE_MAX, pool_name="bound")) == (7, 7)
            assert seen(c.POOLS) == len(kept)


def origins(seen, pool) -> set[str]:
    name = c.CHECKOUTS.prometheus_name
    of_pool = (s.labels for s in seen.samples if s.name == name and s.labels[c.prometheus_label(c.POOL)] == pool)
    return {labels["server_address"] for labels in of_pool} - {""}


def test_origins_fold_past_twenty_a_pool_and_a_hundred_a_process():
    """And a label that was given stays: the first origins of a pool go on under their own names."""
    with Both() as both, refused_port() as port:
        clients = {
            f"pool-{n}": httpx.Client(transport=InstrumentedSyncTransport(name=f"pool-{n}", sinks=both.sinks))
            for n in range(7)
        }
        for n, client in enumerate(clients.values()):
            for host in [*range(25), 0]:
                with pytest.raises(httpx.ConnectError):
                    client.get(f"http://127.1.{n}.{host}:{port}/")
            client.close()
        for seen in (both.native(), both.reading()):
            assert imbalances(seen) == []
            for n, pool in enumerate(clients):
                own = {f"127.1.{n}.{host}" for host in range(20)} if n < 5 else set()
                assert origins(seen, pool) == own | {"_OTHER"}
                assert seen(c.CHECKOUTS, pool_name=pool, server_address="_OTHER") == (5 if n < 5 else 26)
            assert seen(c.CHECKOUTS, pool_name="pool-0", server_address="127.1.0.0") == 2


SECONDS = r"\d\.\d\d+ s"


def test_the_log_has_one_line_for_each_rare_moment(caplog):
    """Warnings for what is slow or fails, DEBUG for connections, INFO for the pool."""
    caplog.set_level(logging.DEBUG, "poolscope.pool")

    def script(peer):
        for request in peer.requests():
            if request.target == "/held":
                peer.respond_head(200)
                peer.wait("go on")
                peer.chunk(b"")
            else:
                peer.respond(200, b"ok")

    transport = InstrumentedSyncTransport(
        name="logged", sinks=[LoggingSink(slow_seconds=0)], limits=httpx.Limits(max_connections=1)
    )
    with Server(script) as server, refused_port() as nobody, httpx.Client(transport=transport) as client:
        with client.stream("GET", server.url("/held")) as response:
            with pytest.raises(httpx.PoolTimeout):
                client.get(server.url(), timeout=httpx.Timeout(5, pool=0.01))
            server.gate("go on").set()
            response.read()
        with pytest.raises(httpx.ConnectError):
            client.get(f"http://127.0.0.1:{nobody}/")
    told = [(r.levelname, r.getMessage()) for r in caplog.records if r.name == "poolscope.pool"]
    expected = [
        ("WARNING", rf"pool logged: waited {SECONDS} for a connection to 127.0.0.1:{server.port}"),
        ("DEBUG", rf"to 127.0.0.1:{server.port} opened in {SECONDS}"),
        ("WARNING", rf"pool logged: PoolTimeout after {SECONDS}"),
        ("DEBUG", r"closed \(evicted\)"),
        ("WARNING", rf"pool logged: waited {SECONDS}"),
        ("WARNING", rf"pool logged: connecting to 127.0.0.1:{nobody} failed after {SECONDS}"),
        ("INFO", "pool logged: closed"),
    ]
    assert len(told) == len(expected), told
    for (level, line), (wanted, part) in zip(told, expected, strict=True):
        assert level == wanted
        assert re.search(part, line), line
    assert "1/1 in use (1 active, 0 establishing), 0 idle, 0 waiting" in told[2][1]


def test_a_sink_of_ones_own_hears_what_it_asked_for():
    """The whole protocol: an object with `attach`, which gives handlers by event; the pool answers questions."""

    class Mine:
        def __init__(self):
            self.heard = []

        def attach(self, pool: ObservedPool):
            self.pool = pool
            return {e.Acquired: self.acquired, e.Released: self.heard.append}

        def acquired(self, event):
            self.heard.append(event)
            self.in_use, self.waiting = self.pool.in_use, self.pool.snapshot().waiting

    mine = Mine()
    transport = InstrumentedSyncTransport(name="mine", sinks=[mine])
    with Server() as server, httpx.Client(transport=transport) as client:
        client.get(server.url())
    acquired, released = mine.heard
    assert (type(acquired), type(released)) == (e.Acquired, e.Released)
    assert (acquired.pool, acquired.address, acquired.port) == ("mine", "127.0.0.1", str(server.port))
    assert (acquired.source, acquired.connection_id) == ("new", released.connection_id)
    assert acquired.wait_seconds >= 0
    assert 0 < released.use_seconds < released.at
    assert (mine.in_use, mine.waiting, mine.pool.in_use, mine.pool.live) == (1, 0, 0, False)


def test_a_registry_or_provider_that_is_dropped_goes():
    """Ours holds neither: a test suite that makes one for each test does not grow."""
    from weakref import ref

    from prometheus_client import CollectorRegistry

    registry, provider = CollectorRegistry(), MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    sinks = [PrometheusSink(registry), OpenTelemetrySink(provider)]
    assert InstrumentedSyncTransport(sinks=sinks).snapshot().in_use == 0
    provider.shutdown()
    gone = [ref(registry), ref(provider)]
    del registry, provider, sinks
    import gc

    gc.collect()
    assert [one() for one in gone] == [None, None]
