"""The demo's judges and arithmetic, on expositions written by hand: what did not happen must not pass."""

import math

import pytest

from poolscope import _contract as contract
from poolscope.cli import _judges as judges
from poolscope.cli._exposition import Scrape, Window
from poolscope.cli._table import Column, line, table

POOL = {contract.POOL: "demo"}
FAST = {**POOL, contract.ADDRESS: "127.0.0.1", contract.PORT: "1"}
SLOW = {**POOL, contract.ADDRESS: "127.0.0.1", contract.PORT: "2"}


def sample(name, labels, value):
    pairs = ",".join(f'{contract.prometheus_label(key)}="{text}"' for key, text in labels.items())
    return f"{name}{{{pairs}}} {value}\n"


def value(metric, labels, number):
    return sample(metric.prometheus_name, labels, number)


def histogram(metric, labels, observed):
    name = metric.prometheus_name
    bounds = [*metric.buckets, math.inf]
    buckets = [
        sample(
            f"{name}_bucket",
            {**labels, "le": "+Inf" if bound == math.inf else bound},
            sum(x <= bound for x in observed),
        )
        for bound in bounds
    ]
    return (
        "".join(buckets) + sample(f"{name}_sum", labels, sum(observed)) + sample(f"{name}_count", labels, len(observed))
    )


def window(*texts, seconds=1.0):
    return Window(tuple(Scrape.parse(text, number * seconds) for number, text in enumerate(texts)), POOL)


def verdicts(findings):
    return [finding.ok for finding in findings]


def acquisitions(new, reused):
    return (
        value(contract.ACQUISITIONS, {**FAST, contract.SOURCE: "new"}, new)
        + value(contract.ACQUISITIONS, {**FAST, contract.SOURCE: "reused"}, reused)
        + value(contract.OPENED, FAST, new)
    )


@pytest.mark.parametrize(("new", "reused", "ok"), [(5, 95, True), (25, 75, False), (0, 19, False), (0, 0, False)])
def test_warm_reuse_needs_four_in_five_of_a_number_worth_counting(new, reused, ok):
    """What counts is the growth within the stage: what was reused before it does not help."""
    seen = window(acquisitions(7, 1000), acquisitions(7 + new, 1000 + reused))
    assert verdicts(judges.reuse(seen)) == [ok]


def busy(seconds_used):
    return value(contract.BUSY_TIME, POOL, seconds_used) + value(contract.MAX, POOL, 10)


@pytest.mark.parametrize(("used_a_second", "ok"), [(9, True), (8, False), (0, False)])
def test_high_utilization_is_the_growth_of_busy_time_over_the_limit(used_a_second, ok):
    """The ends of the stage, where the load starts and drains, are left out."""
    seen = window(busy(0), *(busy(used_a_second * second) for second in range(7)), busy(used_a_second * 6))
    assert verdicts(judges.busy(seen)) == [ok]


def test_a_pool_without_a_limit_has_no_utilization():
    unlimited = value(contract.BUSY_TIME, POOL, 1) + value(contract.MAX, POOL, contract.UNLIMITED)
    assert window(unlimited, unlimited).utilization() is None
    assert verdicts(judges.busy(window(unlimited, unlimited))) == [False]


@pytest.mark.parametrize(
    ("waited", "oldest", "ok"),
    [([6.0] * 20, 5.5, [True, True]), ([4.9] * 500, 4.9, [False, False]), ([6.0] * 20, 0, [True, False])],
)
def test_checkout_waits_are_counted_above_the_bound_and_seen_while_they_last(waited, oldest, ok):
    before = histogram(contract.WAIT_TIME, FAST, [9.0] * 50)
    during = before + value(contract.OLDEST_PENDING_AGE, POOL, oldest)
    after = histogram(contract.WAIT_TIME, FAST, [9.0] * 50 + waited)
    assert verdicts(judges.waits(window(before, during, after), bound=5.0)) == ok


@pytest.mark.parametrize(
    ("new", "reused", "closed", "ok"),
    [
        (90, 10, (85, 0), [True, True]),
        (5, 95, (0, 0), [False, False]),
        (90, 10, (0, 85), [True, False]),
        (0, 0, (0, 0), [False, False]),
    ],
)
def test_a_creation_spike_is_connections_closed_for_the_keep_alive_limit(new, reused, closed, ok):
    """Connections that end for another reason are another fault."""
    reasons = zip(("keepalive_limit", "keepalive_expired"), closed, strict=True)
    text = "".join(value(contract.CLOSED, {**FAST, contract.REASON: reason}, n) for reason, n in reasons)
    assert verdicts(judges.churn(window("", acquisitions(new, reused) + text))) == ok


@pytest.mark.parametrize(
    ("held", "pending", "waited_used", "timeouts", "ok"),
    [
        (9, 4, ([2.0] * 10, [0.01] * 10), 3, [True, True, True]),
        (2, 4, ([2.0] * 10, [0.01] * 10), 3, [False, True, True]),
        (9, 4, ([0.01] * 10, [2.0] * 10), 3, [True, False, True]),
        (9, 0, ([2.0] * 10, [0.01] * 10), 3, [True, False, True]),
        (9, 4, ([2.0] * 10, [0.01] * 10), 0, [True, True, False]),
        (0, 0, ([], []), 0, [False, False, False]),
    ],
)
def test_starvation_is_one_origin_holding_what_the_other_waits_for(held, pending, waited_used, timeouts, ok):
    waited, used = waited_used
    text = (
        value(contract.MAX, POOL, 10)
        + value(contract.CHECKED_OUT, SLOW, held)
        + value(contract.PENDING, FAST, pending)
        + value(contract.TIMEOUTS, {**FAST, contract.CAUSE: "unknown"}, timeouts)
        + histogram(contract.WAIT_TIME, FAST, waited)
        + histogram(contract.USE_TIME, FAST, used)
    )
    empty = value(contract.MAX, POOL, 10) + value(contract.CHECKED_OUT, SLOW, held)
    assert verdicts(judges.starvation(window(empty, text), slow_port=2, fast_port=1)) == ok


def recovery(slow_pending, waited, reused, fast_pending=0, timeouts=0):
    return (
        value(contract.PENDING, SLOW, slow_pending)
        + value(contract.CHECKED_OUT, SLOW, slow_pending)
        + value(contract.PENDING, FAST, fast_pending)
        + value(contract.TIMEOUTS, FAST, timeouts)
        + histogram(contract.WAIT_TIME, FAST, waited)
        + acquisitions(0, reused)
    )


@pytest.mark.parametrize(
    ("first", "last", "waited", "timeouts", "ok"),
    [
        (9, 0, [0.001] * 50, 0, [True, True, True]),
        (0, 0, [0.001] * 50, 0, [False, True, True]),
        (9, 3, [0.001] * 50, 0, [False, True, True]),
        (9, 0, [2.0] * 50, 0, [True, False, True]),
        (9, 0, [0.001] * 50, 1, [True, False, True]),
        (9, 0, [], 0, [True, False, True]),
    ],
)
def test_recovery_is_a_queue_that_empties_and_short_waits_after_that(first, last, waited, timeouts, ok):
    """Long waits while the queue is served are no fault, nor are requests that wait for a moment then."""
    queue = [9.0] * first
    seen = window(
        recovery(first, [], 0),
        recovery(min(first, 5), queue[:5], 0),
        recovery(0, queue, 50, fast_pending=1),
        recovery(0, queue + waited, 100, last, timeouts),
    )
    assert verdicts(judges.recovery(seen, slow_port=2)) == ok


def test_a_queue_that_never_empties_is_no_recovery():
    seen = window(*(recovery(9 - number, [9.0] * number, 50 * number) for number in range(4)))
    assert verdicts(judges.recovery(seen, slow_port=2)) == [False, False, False]


@pytest.mark.parametrize(
    "judge",
    [
        judges.reuse,
        judges.busy,
        lambda w: judges.waits(w, bound=5.0),
        judges.churn,
        lambda w: judges.starvation(w, slow_port=2, fast_port=1),
        lambda w: judges.recovery(w, slow_port=2),
    ],
)
def test_an_exposition_without_the_metrics_passes_no_judge(judge):
    """A renamed metric makes the demo fail; it does not make it blind."""
    assert not any(verdicts(judge(window("", "", "", "", ""))))


def test_quantiles_are_those_of_prometheus():
    """The values are promql's: histogram_quantile over the same buckets."""
    seen = window("", histogram(contract.WAIT_TIME, FAST, [0.0] * 5 + [0.2] * 4 + [100.0]))
    assert seen.quantile(contract.WAIT_TIME, 0.25) == pytest.approx(0.0005)
    assert seen.quantile(contract.WAIT_TIME, 0.7) == pytest.approx(0.1 + 0.15 * (7 - 5) / 4)
    assert seen.quantile(contract.WAIT_TIME, 0.99) == 60.0
    assert seen.quantile(contract.USE_TIME, 0.5) is None


def test_a_window_narrows_to_an_origin():
    text = value(contract.PENDING, FAST, 3) + value(contract.PENDING, SLOW, 4)
    seen = window(text, text)
    assert seen.last(contract.PENDING) == 7
    assert seen.of({contract.PORT: "2"}).last(contract.PENDING) == 4
    assert seen.of({contract.POOL: "other"}).last(contract.PENDING) == 0


@pytest.mark.parametrize(("width", "titles"), [(100, "demo fast other"), (45, "demo other"), (10, "demo")])
def test_a_narrow_terminal_shows_pools_before_origins(width, titles):
    columns = (Column("demo", POOL), Column("fast", FAST, whole=False), Column("other", {contract.POOL: "other"}))
    seen = table(window("", ""), columns, width)
    assert " ".join(str(column.header) for column in seen.columns).split() == titles.split()


def test_the_line_has_every_number_of_the_table():
    text = (
        busy(3) + value(contract.IN_USE, POOL, 4) + value(contract.PENDING, FAST, 7) + value(contract.TIMEOUTS, FAST, 2)
    )
    written = line("demo", window(busy(0), text))
    assert written.startswith("demo: in use 4/10 (30%), waiting 7, ")
    assert ", timeouts 2, " in written
