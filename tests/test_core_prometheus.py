"""The Prometheus sink: what a scrape shows of given readings, sample by sample; who is told, asked and refused."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.trace import SpanContext
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.samples import Exemplar, Sample

from exposing import reader_in
from ledger import Ledger
from poolscope import OpenTelemetrySink, PrometheusSink
from poolscope import _contract as c
from poolscope import events as e
from poolscope._observer import Observer
from poolscope._reading import Reading
from poolscope._tally import Histogram
from poolscope.sinks import _rivals, prometheus
from poolscope.sinks._noting import Noting
from poolscope.sinks.prometheus import PoolCollector

WHERE = ("pool", "shop", "80")
LABELS = {"http_client_connection_pool_name": "pool", "server_address": "shop", "server_port": "80"}
KINDS = {"counter": "counter", "histogram": "histogram", "updown": "gauge", "gauge": "gauge"}


class Read:
    """A pool that gives these points, and keeps who would trace it."""

    owned, over = True, False

    def __init__(self, numbers=(), histograms=()):
        self.numbers, self.histograms, self.traced = dict(numbers), dict(histograms), []

    def read(self, then=None):
        return Reading(dict(self.numbers), dict(self.histograms))

    def trace(self, noting):
        self.traced.append(noting)


def histogram(bounds, *values):
    made = Histogram(bounds)
    for value in values:
        made.observe(value)
    return made


def collected(registry):
    """Give each family's samples by its name."""
    return {family.name: list(family.samples) for family in registry.collect()}


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def reader():
    """A reader of a provider that a sink of ours feeds: `reader._collector` can be put into any registry."""
    made = reader_in(CollectorRegistry())
    provider = MeterProvider([made], shutdown_on_exit=False)
    made.sink = OpenTelemetrySink(provider)
    yield made
    provider.shutdown()


@pytest.mark.parametrize("opt_in", [False, True])
def test_every_metric_is_named_before_anything_is_counted(registry, opt_in):
    """By its name, kind, words and labels; those that are off by default where they are asked for."""
    collector = PoolCollector(registry, opt_in=opt_in)
    named = [(f.name, f.type, f.documentation, f._labelnames, f.samples) for f in collector.describe()]
    assert named == [
        (
            metric.prometheus_name.removesuffix("_total"),
            KINDS[metric.kind],
            metric.description,
            tuple(c.prometheus_label(label) for label in metric.labels),
            [],
        )
        for metric in c.METRICS
        if opt_in or metric not in (c.REQUESTS_SERVED, c.IDLE_TIME)
    ]
    assert collected(registry) == {}
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        PoolCollector(registry, opt_in=opt_in)


def test_a_scrape_shows_each_point_once(registry):
    """Counters, levels and histograms with the labels that they have, in the contract's order, and nothing else."""
    request = ("GET", "shop", "80", 200, "", "1.1")
    pool = Read(
        {(c.IN_USE, ("pool",)): 2, (c.ACQUISITIONS, (*WHERE, c.NEW)): 3, (c.ACQUISITIONS, (*WHERE, c.REUSED)): 4},
        {(c.REQUEST_DURATION, request): histogram(c.REQ, 0.004, 0.25, 0.5, 20.0)},
    )
    PrometheusSink(registry).attach(pool)
    assert generate_latest(registry).decode().splitlines() == [
        "# HELP http_client_connection_acquisitions_total " + c.ACQUISITIONS.description,
        "# TYPE http_client_connection_acquisitions_total counter",
        *(
            'http_client_connection_acquisitions_total{http_client_connection_pool_name="pool",'
            f'http_client_connection_source="{source}",server_address="shop",server_port="80"}} {count}'
            for source, count in (("new", "3.0"), ("reused", "4.0"))
        ),
        "# HELP http_client_connection_in_use " + c.IN_USE.description,
        "# TYPE http_client_connection_in_use gauge",
        'http_client_connection_in_use{http_client_connection_pool_name="pool"} 2.0',
        "# HELP http_client_request_duration_seconds " + c.REQUEST_DURATION.description,
        "# TYPE http_client_request_duration_seconds histogram",
        *(
            f'http_client_request_duration_seconds_{end}error_type="",http_request_method="GET",'
            'http_response_status_code="200",'
            f'{bound}network_protocol_version="1.1",server_address="shop",server_port="80"}} {value}'
            for end, bound, value in (
                *(
                    ("bucket{", f'le="{bound}",', value)
                    for bound, value in (
                        *((bound, "1.0") for bound in (0.005, 0.01, 0.025, 0.05, 0.075, 0.1)),
                        (0.25, "2.0"),
                        *((bound, "3.0") for bound in (0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)),
                        ("+Inf", "4.0"),
                    )
                ),
                ("count{", "", "4.0"),
                ("sum{", "", "20.754"),
            )
        ),
    ]


def test_samples_are_a_sequence_that_is_made_anew_each_time(registry):
    """Whoever counts them, goes through them twice or takes one gets the same."""
    pool = Read({(c.CHECKOUTS, ("pool", "shop", port)): int(port) for port in ("80", "81", "82")})
    PrometheusSink(registry).attach(pool)
    [family] = registry.collect()
    expected = [
        Sample("http_client_connection_checkouts_total", {**LABELS, "server_port": port}, int(port))
        for port in ("80", "81", "82")
    ]
    assert len(family.samples) == 3
    assert list(family.samples) == list(family.samples) == expected
    assert family.samples[1] == expected[1]
    assert family.samples[1:] == expected[1:]


def test_a_bucket_shows_its_exemplar(registry):
    """The trace's name, the value and its time; buckets without one, and the next point, have none."""
    traced, plain = histogram(c.QUEUE, 0.0005, 0.003), histogram(c.QUEUE, 0.003)
    traced.exemplars = {1: (0.003, SpanContext(0xAB, 0xCD, is_remote=False), 1700000000.5)}
    PrometheusSink(registry).attach(
        Read(histograms={(c.WAIT_TIME, WHERE): traced, (c.WAIT_TIME, ("p", "", "")): plain})
    )
    samples = collected(registry)[c.WAIT_TIME.prometheus_name]
    assert [(sample.labels, sample.exemplar) for sample in samples if sample.exemplar] == [
        (
            {**LABELS, "le": "0.005"},
            Exemplar({"trace_id": "0" * 30 + "ab", "span_id": "0" * 14 + "cd"}, 0.003, 1700000000.5),
        )
    ]
    assert [sample.value for sample in samples if sample.labels.get("le") in ("0.001", "0.005")] == [1, 2, 0, 1]


def test_a_real_pool_is_read_when_it_is_scraped(registry):
    """It is asked for no event; what it counted after it was attached is there."""
    ledger = Ledger()
    observer = Observer(ledger.pool, clock=lambda: 9.0)
    owner = observer.own()
    assert PrometheusSink(registry).attach(observer) == {}
    ledger.hold(2.0, ledger.idle(1.0))
    seen = collected(registry)
    assert owner
    assert [sample.value for sample in seen["http_client_connection_in_use"]] == [1]
    assert [sample.value for sample in seen["http_client_connection_oldest_use_age_seconds"]] == [7.0]
    reused = {**LABELS, "http_client_connection_source": "reused"}
    [acquisitions] = [s for s in seen["http_client_connection_acquisitions"] if s.labels == reused]
    assert acquisitions.value == 1


def test_what_is_off_by_default_is_measured_from_events(registry):
    """Where it is asked for, and that alone; a scrape keeps what it saw."""
    sink = PrometheusSink(registry, opt_in=True)
    handlers = sink.attach(Read())
    assert set(handlers) == {e.ConnectionReused, e.ConnectionClosed}
    for idle in (0.03, 4.0):
        handlers[e.ConnectionReused](e.ConnectionReused(*WHERE, 9.0, 3, "1.1", idle))
    handlers[e.ConnectionClosed](e.ConnectionClosed(*WHERE, 9.0, 3, c.EVICTED, 4.5, "1.1", False, 7))
    idle, served = c.IDLE_TIME.prometheus_name, c.REQUESTS_SERVED.prometheus_name
    families = {family.name: family for family in registry.collect()}
    assert set(families) == {idle, served}
    handlers[e.ConnectionReused](e.ConnectionReused(*WHERE, 9.0, 3, "1.1", 0.5))
    seen = {
        name: [sample.value for sample in family.samples if sample.labels in (LABELS, {**LABELS, "le": "5.0"})]
        for name, family in families.items()
    }
    assert seen == {idle: [2, 2, 4.03], served: [0, 1, 7]}
    assert [sample.value for sample in collected(registry)[idle]][-2:] == [3, 4.53]
    assert len(families[served].samples) == len(c.SERVED) + 3


def test_pools_keep_exemplars_once_there_is_a_tracer(registry, monkeypatch):
    """Not before: a request would pay for it. Pools that are there already are told at the next scrape."""
    sink, early, late = PrometheusSink(registry), Read(), Read()
    monkeypatch.setattr(prometheus, "tracer_is_set", lambda: False)
    sink.attach(early)
    collected(registry)
    monkeypatch.setattr(prometheus, "tracer_is_set", lambda: True)
    assert early.traced == []
    sink.attach(late)
    [noting] = late.traced
    assert isinstance(noting, Noting)
    assert early.traced == []
    collected(registry)
    assert (early.traced, late.traced) == ([noting], [noting, noting])


def test_sinks_of_one_registry_are_one(registry, caplog):
    """The first decides what is measured, as a second is told; it says its registry, and that a collector is in it."""
    first, second, other = PrometheusSink(registry), PrometheusSink(registry, opt_in=True), CollectorRegistry()
    assert first._backend is second._backend
    assert second.attach(Read()) == {}
    assert PrometheusSink(other)._backend is not first._backend
    assert registry in _rivals.native_registries
    assert repr(second) == f"PrometheusSink(registry={registry!r})"
    PrometheusSink(registry, opt_in=True)
    assert [record.getMessage() for record in caplog.records] == [
        f"poolscope: {second!r} was made before without opt_in=True, which stays so: give it to the first"
    ]
    PrometheusSink(other, opt_in=False)
    PrometheusSink(CollectorRegistry(), opt_in=True)
    assert len(caplog.records) == 1


def test_a_registry_that_was_emptied_gets_its_collector_again(registry):
    """With the pools that it had; where it is still in, it is not put in twice."""
    PrometheusSink(registry).attach(Read({(c.CHECKOUTS, WHERE): 1}))
    PrometheusSink(registry)
    for collector in list(registry._collector_to_names):
        registry.unregister(collector)
    assert list(collected(registry)) == []
    PrometheusSink(registry)
    assert list(collected(registry)) == ["http_client_connection_checkouts"]


def test_sinks_that_threads_make_at_once_are_one(registry, monkeypatch):
    """The second waits until the first has put its collector in."""
    made, begun = [], threading.Barrier(2)
    make = prometheus._make

    def slowly(*args, **options):
        with suppress(threading.BrokenBarrierError):
            begun.wait(0.2)  # the other one would come, too
        made.append(1)
        return make(*args, **options)

    monkeypatch.setattr(prometheus, "_make", slowly)
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(PrometheusSink, [registry] * 2)
    assert first._backend is second._backend
    assert made == [1]


def test_what_is_no_registry_is_refused():
    """With its value."""
    with pytest.raises(TypeError, match=r"^registry takes a prometheus_client.CollectorRegistry, got 'mine'$"):
        PrometheusSink("mine")


def test_a_registry_that_a_reader_serves_is_refused(registry, reader):
    """Another registry is not."""
    registry.register(reader._collector)
    with pytest.raises(ValueError, match=r"^this registry would get every metric twice: .* use one of them, or two"):
        PrometheusSink(registry)
    assert registry not in _rivals.native_registries
    assert PrometheusSink(CollectorRegistry())


def test_a_reader_that_comes_later_silences_the_collector(registry, reader, caplog):
    """One line in the log says so, however often it is scraped; once the reader is gone, it goes on."""
    pool = Read({(c.CHECKOUTS, WHERE): 1})
    PrometheusSink(registry).attach(pool)
    assert list(collected(registry)) == ["http_client_connection_checkouts"]
    registry.register(reader._collector)
    for _ in range(3):
        assert "http_client_connection_checkouts" not in collected(registry)
    [told] = caplog.records
    assert (told.name, told.levelno) == ("poolscope", logging.ERROR)
    assert told.getMessage() == f"poolscope: {_rivals.MESSAGE}; PrometheusSink yields nothing"
    registry.unregister(reader._collector)
    assert list(collected(registry)) == ["http_client_connection_checkouts"]
