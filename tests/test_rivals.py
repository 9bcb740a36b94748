"""One registry gets each metric once: whoever comes second is one with the first, refused with a clear line, or silent.

`promtool check metrics` (brought by `make tools`) has the last word on what is exposed.
"""

import logging
import subprocess
from collections import Counter

import httpx
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry, Gauge

from alerting.promtool import tool
from exposing import Both, reader_in
from harness import Server
from observing import Exposition, imbalances, scrape
from poolscope import InstrumentedSyncTransport, OpenTelemetrySink, PrometheusSink
from poolscope import _contract as c
from poolscope.sinks import _rivals


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def provided(registry):
    """A provider whose Prometheus reader is in the registry."""
    provider = MeterProvider([reader_in(registry)], shutdown_on_exit=False)
    yield provider
    provider.shutdown()


def twice(seen: Exposition) -> list[str]:
    """Whatever is exposed more than once: a TYPE line, a series."""
    types = Counter(line for line in seen.text.splitlines() if line.startswith("# TYPE"))
    series = Counter((sample.name, frozenset(sample.labels.items())) for sample in seen.samples)
    return [str(thing) for counts in (types, series) for thing, count in counts.items() if count > 1]


def traffic(sinks, name="pool"):
    with Server() as server, httpx.Client(transport=InstrumentedSyncTransport(name=name, sinks=sinks)) as client:
        client.get(server.url())


def lint(seen: Exposition) -> str:
    command = [tool("promtool"), "check", "metrics"]
    return subprocess.run(command, input=seen.text, capture_output=True, text=True, check=False, timeout=30).stderr


def test_two_sinks_and_two_pools_give_one_set_of_series(registry):
    """Two sinks made for one registry are one; two pools of one name are summed, of two names apart."""
    traffic([PrometheusSink(registry), PrometheusSink(registry)])
    traffic([PrometheusSink(registry)])
    traffic([PrometheusSink(registry)], name="other")
    seen = scrape(registry)
    assert twice(seen) == imbalances(seen) == []
    assert (seen(c.CHECKOUTS, pool_name="pool"), seen(c.CHECKOUTS, pool_name="other")) == (2, 1)


def test_the_native_sink_is_refused_where_the_reader_of_our_other_sink_is(registry, provided):
    """In this order the second is refused when it is made, and the first goes on."""
    sink = OpenTelemetrySink(provided)
    with pytest.raises(ValueError, match="would get every metric twice"):
        PrometheusSink(registry)
    traffic([sink])
    seen = scrape(registry)
    assert twice(seen) == imbalances(seen) == []
    assert seen(c.CHECKOUTS) == 1


def test_the_other_sink_is_refused_where_the_native_one_stands_in_its_readers_registry(registry, provided):
    """In the other order likewise."""
    sink = PrometheusSink(registry)
    with pytest.raises(ValueError, match="would get every metric twice"):
        OpenTelemetrySink(provided)
    traffic([sink])
    seen = scrape(registry)
    assert twice(seen) == imbalances(seen) == []
    assert seen(c.CHECKOUTS) == 1


def test_a_reader_without_our_sink_is_no_rival(registry, provided):
    """OpenTelemetry may put other metrics into the same registry."""
    provided.get_meter("mine").create_counter("mine").add(1)
    traffic([PrometheusSink(registry)])
    seen = scrape(registry)
    assert twice(seen) == []
    assert seen(c.CHECKOUTS) == 1
    assert "mine_total" in seen.text


def test_what_comes_later_is_noticed_at_the_first_collection_and_told_once(registry, caplog):
    """The reader's provider is set up after both sinks: ours yields nothing from then on, and one line says why."""
    from opentelemetry import metrics
    from opentelemetry.metrics import _internal

    before, _internal._METER_PROVIDER = _internal._METER_PROVIDER, None
    done, _internal._METER_PROVIDER_SET_ONCE = _internal._METER_PROVIDER_SET_ONCE, _internal.Once()
    try:
        sinks = [PrometheusSink(registry), OpenTelemetrySink()]
        traffic(sinks, name="late")
        assert scrape(registry)(c.CHECKOUTS) == 1
        provider = MeterProvider([reader_in(registry)], shutdown_on_exit=False)
        metrics.set_meter_provider(provider)
        for _ in range(2):
            seen = scrape(registry)
            assert twice(seen) == []
            assert seen(c.CHECKOUTS, pool_name="late") == 1  # the global provider gives every test's pools
            assert "otel_scope_name" in seen.text
        told = [r for r in caplog.records if r.name == "poolscope" and r.levelno == logging.ERROR]
        assert [_rivals.MESSAGE in r.getMessage() for r in told] == [True]
        provider.shutdown()
    finally:
        _internal._METER_PROVIDER, _internal._METER_PROVIDER_SET_ONCE = before, done


def test_somebody_elses_metric_of_the_same_name_is_refused_by_the_registry(registry):
    """Whichever comes second gets prometheus_client's own error, which names the metric."""
    PrometheusSink(registry)
    with pytest.raises(ValueError, match=c.MAX.prometheus_name):
        Gauge(c.MAX.prometheus_name, "theirs", registry=registry)
    other = CollectorRegistry()
    Gauge(c.MAX.prometheus_name, "theirs", registry=other)
    with pytest.raises(ValueError, match=c.MAX.prometheus_name):
        PrometheusSink(other)


def test_promtool_has_nothing_to_say_against_the_exposition():
    """Of the native sink; of OpenTelemetry's it must be able to read every line."""
    with Both(opt_in=True) as both:
        traffic(both.sinks)
        assert lint(both.native()) == ""
        assert "error while linting" not in lint(both.reading())


def test_promtool_trips_on_a_second_type_line():
    """Planted: what all of the above is to keep from happening."""
    with Both() as both:
        traffic(both.sinks)
        text = both.native().text
    doubled = Exposition("")
    doubled.text = text + text
    assert "second HELP line" in lint(doubled)
    assert twice(doubled) != []
