"""What the OpenTelemetry sink exports: every metric of the contract, each measurement once, and in which collection.

The pools have no socket; the seconds are the test's.
"""

from types import SimpleNamespace

import pytest
from opentelemetry import trace
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics.export import Gauge, Histogram, InMemoryMetricReader, Sum
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from meter_desk import HERE, WAITED, WHERE, Desk, clock, count_of, desk, exported, points_of, provider_of
from poolscope import OpenTelemetrySink
from poolscope import _contract as c
from poolscope import events as e
from poolscope._records import Checkout

__all__ = ["clock", "desk"]

MEASURED = [
    (WAITED, {c.WAIT_TIME: 0.5}),
    (e.Released(*HERE, 1.5, 3), {c.USE_TIME: 1.5}),
    (e.StreamWaited(*HERE, 2.5, 3), {c.STREAM_WAIT_TIME: 2.5}),
    (e.ConnectionOpened(*HERE, 3, 3.5, "1.1"), {c.CREATE_TIME: 3.5}),
    (e.ConnectionClosed(*HERE, 3, c.EVICTED, 4.5, "1.1", False, 7), {c.DURATION: 4.5, c.REQUESTS_SERVED: 7}),
    (e.RequestEnded(*HERE, "GET", 200, "", "1.1", 5.5), {c.REQUEST_DURATION: 5.5}),
    (e.ConnectionReused(*HERE, 3, "1.1", 6.5), {c.IDLE_TIME: 6.5}),
]
"""A fact of each kind of measurement, and what is recorded of it."""
BATCH, HELD_AT_MOST = 24, 4096


def kind_of(metric):
    if isinstance(metric.data, Sum):
        return "counter" if metric.data.is_monotonic else "updown"
    return {Gauge: "gauge", Histogram: "histogram"}[type(metric.data)]


@pytest.mark.parametrize("opt_in", [False, True])
def test_every_metric_of_the_contract_is_exported_as_it_says(opt_in):
    """Its kind, unit, description and buckets; those that are off by default where they are asked for."""
    desk = Desk(opt_in=opt_in)
    desk.pool.ledger.request(1.0)
    facts = [fact for fact, _ in MEASURED if type(fact) in desk.measured.handlers]
    desk.measured.queue.extend(facts)
    seen = exported(desk.reader)
    wanted = {one.name: one for one in c.METRICS if opt_in or not one.opt_in}
    assert {name: (kind_of(one), one.unit, one.description) for name, one in seen.items()} == {
        name: (one.kind, one.unit, one.description) for name, one in wanted.items()
    }
    bounds = {
        name: {point.explicit_bounds for point in points_of(one)} for name, one in seen.items() if wanted[name].buckets
    }
    assert bounds == {name: {one.buckets} for name, one in wanted.items() if one.buckets}


def test_a_pools_numbers_are_exported_with_their_labels(desk):
    """As they are at each collection: one reading of the pool for all of them."""
    desk.pool.ledger.request(1.0)
    for count in (1, 2, 3):
        seen = exported(desk.reader)
        [point] = points_of(seen[c.CHECKOUTS.name])
        assert (point.value, dict(point.attributes)) == (count, WHERE)
        [age] = points_of(seen[c.OLDEST_PENDING_AGE.name])
        assert (age.value, dict(age.attributes)) == (9.0, {c.POOL: "pool"})
        assert desk.pool.reads == count
        desk.pool.ledger.request(2.0)


def test_a_metric_without_points_is_none():
    """No pool has any: each callback is answered, with nothing."""
    reader = InMemoryMetricReader()
    sink = OpenTelemetrySink(provider_of(reader))
    assert exported(reader) == {}
    callback = sink._backend._callback(c.CHECKOUTS)
    assert [list(next(callback)), list(callback.send(None))] == [[], []]


@pytest.mark.parametrize("opt_in", [False, True])
def test_what_was_measured_is_recorded_by_the_next_collection(opt_in):
    """Once, with its labels."""
    desk = Desk(opt_in=opt_in)
    for fact, values in MEASURED:
        if opt_in or not isinstance(fact, e.ConnectionReused):
            assert desk.queue(1, fact) == 1
            for _ in range(2):
                seen = exported(desk.reader)
                for metric, value in values.items():
                    points = points_of(seen.get(metric.name))
                    told = [(one.count, one.sum, {"shop", 80} <= set(one.attributes.values())) for one in points]
                    assert told == ([] if metric.opt_in and not opt_in else [(1, value, True)])
            assert len(desk.measured.queue) == 0


def test_plain_requests_come_in_one_go_unless_idle_times_are_wanted():
    """These hear of each step."""
    desk = Desk()
    assert set(desk.measured.handlers) == {type(fact) for fact, _ in MEASURED[:-1]} | {
        e.TimedOut,
        e.Abandoned,
        e.ConnectFailed,
        Checkout,
    }
    each = Desk(opt_in=True)
    assert set(each.measured.handlers) == (set(desk.measured.handlers) - {Checkout}) | {e.ConnectionReused}
    ledger = desk.pool.ledger
    ledger.leave(ledger.guest(3.0, ledger.idle(1.0), entered=2.0), 7.0)
    seen = exported(desk.reader)
    [wait], [use] = (points_of(seen[metric.name]) for metric in (c.WAIT_TIME, c.USE_TIME))
    assert [(point.count, point.sum, dict(point.attributes)) for point in (wait, use)] == [
        (1, 1.0, WHERE),
        (1, 4.0, WHERE),
    ]


def test_a_duration_that_another_answers_for_is_not_recorded(desk):
    """Its wait is ours still."""
    desk.measured.queue.append(e.RequestEnded(*HERE, "GET", 200, "", "1.1", 5.5, measured_elsewhere=True))
    desk.measured.queue.append(WAITED)
    seen = exported(desk.reader)
    assert (count_of(seen, c.REQUEST_DURATION), count_of(seen, c.WAIT_TIME)) == (0, 1)


def context_of(span_id):
    sampled = SpanContext(1, span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    return trace.set_span_in_context(NonRecordingSpan(sampled))


def test_a_measurement_stands_beside_its_own_trace_alone(desk):
    """Not beside the span that is current where it is recorded."""
    with trace.use_span(trace.get_current_span(context_of(7))):
        desk.queue(1, e.Acquired(*HERE, c.NEW, 0.5, 3, SimpleNamespace(context=context_of(2))))
        desk.queue(1, e.Released(*HERE, 1.5, 3))
        desk.queue(1, e.TimedOut(*HERE, 20.0, c.BURST))
        seen = exported(desk.reader)
    spans = [
        [one.span_id for point in points_of(seen[metric.name]) for one in point.exemplars]
        for metric in (c.WAIT_TIME, c.USE_TIME)
    ]
    assert spans == [[2], []]


def test_measurements_are_recorded_in_batches_where_nobody_collects(desk):
    """Twenty-four at a time, in the thread that caused them."""
    assert [desk.queue(23), desk.queue(1)] == [23, 0]
    assert desk.queue(60) == 36
    assert desk.recorded() == 24 + 60


def test_a_batch_waits_while_a_collection_may_read_the_histograms(desk, clock):
    """Two seconds from its last callback on, and no longer."""
    first, second = (desk.sink._backend._callback(metric) for metric in (c.CHECKOUTS, c.PENDING))
    for callback in (first, second):
        assert list(next(callback)) == []
    first.send(None)
    clock.now = 101.0
    second.send(None)
    assert desk.pool.reads == 1
    clock.now = 102.5
    assert desk.queue(BATCH) == BATCH
    clock.now = 103.0
    assert desk.queue(0) == 0
    clock.now = 0.0
    assert Desk().queue(BATCH) == 0, "nobody has collected yet"


def test_a_full_queue_waits_for_no_collection(desk):
    """Memory has an end."""
    assert desk.recorded() == 0
    assert desk.queue(HELD_AT_MOST - 1) == HELD_AT_MOST - 1
    assert desk.queue(1) == HELD_AT_MOST - BATCH


def test_a_collection_takes_what_came_before_a_pool_was_read_and_nothing_later(desk):
    """Not even what fills a batch before it is over."""
    waiting = []
    desk.pool.while_read = lambda: waiting.append(desk.queue(BATCH))

    def late(_):
        waiting.append(desk.queue(BATCH))
        return [Observation(1)]

    desk.provider.get_meter("mine").create_observable_gauge("mine", [late])
    assert desk.recorded() == BATCH
    assert waiting == [BATCH, BATCH]
    assert desk.recorded() == 3 * BATCH


def test_a_thread_that_finds_another_recording_goes_on(desk, monkeypatch):
    """It does not wait for it."""
    asked = []
    monkeypatch.setattr(
        desk.measured, "_recording", SimpleNamespace(acquire=lambda *, blocking: asked.append(blocking))
    )
    assert desk.queue(BATCH) == BATCH
    assert asked == [False]


def test_what_a_recording_itself_measures_waits(desk):
    """An SDK that makes a request while it records: its facts come with the next batch."""
    waiting, handlers = [], dict(desk.measured.handlers)

    def nested(fact):
        if not waiting:
            waiting.append(desk.queue(BATCH))
        handlers[type(fact)](fact)

    desk.measured.handlers = dict.fromkeys(handlers, nested)
    assert desk.queue(BATCH) == BATCH
    assert waiting == [BATCH]


def test_a_fact_that_cannot_be_recorded_leaves_the_queue_usable(desk):
    """The error is the pool's to log."""
    with pytest.raises(KeyError):
        desk.queue(BATCH, "no fact")
    assert desk.queue(BATCH) == 0
    assert desk.recorded() == BATCH
