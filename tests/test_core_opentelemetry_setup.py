"""Whom the OpenTelemetry sink serves: which provider, now or later, which pools, for how long; what it refuses."""

import gc
import weakref
from dataclasses import dataclass

import pytest
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry

from exposing import reader_in
from meter_desk import WAITED, Desk, Watched, clock, count_of, desk, exported, placeholder, points_of, provider_of
from poolscope import OpenTelemetrySink, PrometheusSink
from poolscope import _contract as c
from poolscope.sinks import _providers, _rivals
from tracing_desk import Sdk

__all__ = ["clock", "desk", "placeholder"]


def test_the_first_sink_of_a_provider_decides_on_what_is_off_by_default(desk, caplog):
    """A later one that asks for it is told so, once."""
    again = OpenTelemetrySink(desk.provider, opt_in=True)
    OpenTelemetrySink(desk.provider, opt_in=True)
    assert [record.getMessage() for record in caplog.records] == [
        f"poolscope: {again!r} was made before without opt_in=True, which stays so: give it to the first"
    ]
    whole = Desk(opt_in=True)
    OpenTelemetrySink(whole.provider, opt_in=True)
    OpenTelemetrySink(whole.provider)
    assert len(caplog.records) == 1


def test_one_provider_has_its_metrics_once(desk):
    """Whichever sink of it a pool is given, and however often."""
    again = OpenTelemetrySink(desk.provider)
    assert again._backend is desk.sink._backend
    desk.pool.subscribe([again])
    assert again.attach(desk.pool) == {}
    assert desk.pool.measured == [desk.measured]
    other = Desk()
    assert other.sink._backend is not desk.sink._backend
    assert _providers.in_use() == [desk.provider, other.provider]
    assert repr(desk.sink) == f"OpenTelemetrySink(meter_provider={desk.provider!r})"


def test_a_provider_may_have_no_hash_and_is_held_by_nobody_of_ours(placeholder):
    """As a dataclass, which compares by its fields, and is what logfire's is. When it is gone, so is what served it."""
    kind = dataclass(init=False)(type("Provider", (MeterProvider,), {}))
    made = [kind(shutdown_on_exit=False) for _ in range(2)]
    assert made[0].__hash__ is None
    sinks = [OpenTelemetrySink(provider) for provider in (*made, *made)]
    assert [sinks.index(one) for one in sinks if one._backend is sinks[0]._backend] == [0, 2]
    assert [known is provider for known, provider in zip(_providers.in_use(), made, strict=True)] == [True, True]
    del sinks[:]
    gone = weakref.ref(made.pop(0))
    gc.collect()
    assert (gone(), _providers.in_use()) == (None, made)
    assert OpenTelemetrySink()._backend is _providers.server_of(placeholder)
    assert len(_providers._served) == 2


def test_a_pool_that_is_gone_has_recorded_what_it_measured(desk):
    """Nobody collects: past thirty-two pools those that are over are let go."""
    pools = [Watched() for _ in range(32)]
    for pool in pools:
        pool.subscribe([desk.sink])
        pool.measured[0].queue.append(WAITED)
        del pool.held
    del pool
    pools.clear()
    gc.collect()
    assert desk.recorded() == 32
    assert desk.sink._backend._book.pools == [desk.pool]


def test_without_an_sdk_nothing_is_measured(placeholder):
    """A sink knows its pools; those that are over go, with what they counted, and nothing else happens."""
    sink = OpenTelemetrySink()
    assert sink._backend.is_active() is False
    assert _providers.in_use() == [placeholder]
    pools = [Watched() for _ in range(33)]
    for pool in pools[1:]:
        del pool.held
    for pool in pools:
        assert sink.attach(pool) == {}
    assert sink._backend._book.pools == [pools[0]]
    pools[0].subscribe([sink])
    assert pools[0].measured == []


def test_an_sdk_that_is_set_up_later_takes_the_pools_on(placeholder):
    """With what they had counted; whoever names the placeholder or the SDK from then on has the same metrics."""
    elsewhere, pool, sink = Desk(), Watched(), OpenTelemetrySink()
    pool.ledger.request(1.0)
    pool.subscribe([sink])
    reader = InMemoryMetricReader()
    provider = provider_of(reader)
    metrics.set_meter_provider(provider)
    assert sink._backend.is_active() is True
    [measured] = pool.measured
    measured.queue.append(WAITED)
    seen = exported(reader)
    assert [point.value for point in points_of(seen[c.CHECKOUTS.name])] == [1]
    assert count_of(seen, c.WAIT_TIME) == 1
    assert _providers.in_use() == [elsewhere.provider, provider]
    for same in (OpenTelemetrySink(), OpenTelemetrySink(provider), OpenTelemetrySink(placeholder)):
        assert same._backend is sink._backend
    assert OpenTelemetrySink(elsewhere.provider)._backend is elsewhere.sink._backend
    assert exported(elsewhere.reader)[c.POOLS.name]


def test_a_sink_says_what_it_takes():
    """A meter provider is one that gives meters."""
    with pytest.raises(TypeError, match=r"^meter_provider takes an OpenTelemetry MeterProvider, got 7$"):
        OpenTelemetrySink(7)


def test_a_registry_gets_no_metric_twice(monkeypatch):
    """A sink is refused where a native one stands in the registry of its provider's reader, and there alone."""
    monkeypatch.setattr(_rivals, "native_registries", type(_rivals.native_registries)())
    taken, free = CollectorRegistry(), CollectorRegistry()
    assert PrometheusSink(taken)
    readers = [reader_in(registry) for registry in (taken, free)]
    rival, other = (provider_of(reader) for reader in readers)
    with pytest.raises(ValueError, match=f"^{_rivals.MESSAGE}$"):
        OpenTelemetrySink(rival)
    assert OpenTelemetrySink(other)
    assert _providers.in_use() == [other]
    for provider in (rival, other):
        provider.shutdown()


def test_a_pool_is_traced_as_the_sink_was_told(placeholder):
    """By the tracer's provider that was given; measuring alone keeps its tracing awake."""
    tracers, pool = Sdk(), Watched()
    given = OpenTelemetrySink(
        tracer_provider=tracers.provider, spans="events", client_span_ends="headers", redact_query_keys=["mine"]
    )
    pool.subscribe([given])
    tracing = pool.tracing
    assert (tracing.mode, tracing.until_headers, "mine" in tracing.redacted) == ("events", True, True)
    assert tracing.awake(0.0)
    tracing.tracer.start_span("ours").end()
    assert [name for name, _, _ in tracers.spans] == ["ours"]
    default = OpenTelemetrySink()
    assert (default._tracing.mode, default._tracing.until_headers) == ("spans", False)
    off = OpenTelemetrySink(spans="off")
    assert off._tracing.awake(0.0) is False
    assert Desk().sink._tracing.awake(0.0) is True
