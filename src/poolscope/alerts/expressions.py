"""The ten conditions, each a PromQL expression.

1. Nothing is aggregated over processes before a comparison: one full process of fifty has to be seen.
2. Neither a process that has just begun nor one that is gone may set anything off, so a condition asks for
   what was there before and for what is there now.
3. An unlimited pool (1e18) has utilization zero, a pool with limit zero has none.

Why not the simpler forms: `tests/test_rules_naive.py` shows each of them failing.
"""

from textwrap import indent

from poolscope import _contract as c
from poolscope.alerts.promql import FLEET, INSTANCE, Selectors, bucket, number, per_pool
from poolscope.alerts.settings import Settings, duration


def _increase(select: Selectors, metric: c.Metric, window: float, *matchers: str) -> str:
    return per_pool(metric, f"increase({select.series(metric, *matchers, window=window)})")


def _gained(select: Selectors, metric: c.Metric, window: float, *matchers: str, suffix: str = "") -> str:
    """Give what each series gained, its first value included.

    A series that is born at 150 has no increase. It is new, and all its value was gained in the window, where the
    process's pools were seen at the window's start and it was not. (The increase of a sum would do as much, but count
    a whole life where one series of many ends: the fall of the sum looks like a restart.)
    """
    now = select.series(metric, *matchers, suffix=suffix)
    before = select.series(metric, *matchers, suffix=suffix, offset=window)
    return (
        f"({now}\nunless {before})\n"
        f"and on ({', '.join(INSTANCE)}) {select.series(c.MAX, offset=window)}\n"
        f"or increase({select.series(metric, *matchers, suffix=suffix, window=window)})"
    )


def _gained_by_pool(select: Selectors, metric: c.Metric, window: float, *matchers: str, suffix: str = "") -> str:
    inner = indent(_gained(select, metric, window, *matchers, suffix=suffix), "  ")
    return per_pool(metric, f"\n{inner}\n", *(["le"] if suffix == "_bucket" else []))


def _all(*conditions: str) -> str:
    return "\nand\n".join(conditions)


def _there_before(select: Selectors, seconds: float) -> str:
    return f"sum without (pid) ({select.series(c.MAX, offset=seconds)})"


def _fresh(select: Selectors, s: Settings) -> str:
    """Ask for a recent sample: where a process's end is not marked, its last ones stand for five minutes more."""
    return f"sum without (pid) (present_over_time({select.series(c.MAX, window=s.fresh_window)}))"


def utilization(select: Selectors, s: Settings) -> str:
    """Find pools whose use of the limit was above the line in most quarter-minutes of the window."""
    ratio = f"{select.series(c.IN_USE)} / ({select.series(c.MAX)} > 0)"
    over = f"[{duration(s.utilization_window)}:{duration(s.utilization_step)}]"
    return _all(
        f"avg_over_time(({ratio}){over})",
        f"count_over_time(({ratio} > {number(s.utilization_ratio)}){over}) >= {s.utilization_points}",
    )


def checkouts_slow(select: Selectors, s: Settings) -> str:
    """Find waits longer than a bucket's bound, as a share of all waits that ended."""
    ended = _gained_by_pool(select, c.WAIT_TIME, s.slow_window, suffix="_count")
    quick = _gained_by_pool(select, c.WAIT_TIME, s.slow_window, bucket(s.slow_seconds), suffix="_bucket")
    slow = indent(f"{ended}\n- {quick}", "  ")
    return f"((\n{slow}\n) >= {number(s.slow_count)})\n/ {ended}\n> {number(s.slow_ratio)}"


_FLEET = ", ".join(FLEET)


def _usual(select: Selectors, metric: c.Metric, s: Settings) -> str:
    series = select.series(metric, window=s.creation_usual_window, offset=s.creation_usual_offset)
    return f"sum by ({_FLEET}) (rate({series}))"


def usual_creation(select: Selectors, s: Settings) -> str:
    """Give what an instance of each service usually opens a second.

    That is what all instances opened in the hour, by the mean number of them that were there: an average of their
    rates would count one that lived for five minutes of the hour as a whole one that opened little.
    """
    instances = f"count by ({_FLEET}) (sum without (pid) ({select.series(c.MAX)}))"
    over = f"[{duration(s.creation_usual_window)}:{duration(s.creation_usual_step)}]"
    looks = number(s.creation_usual_window / s.creation_usual_step)
    there = f"sum_over_time(({instances}){over} offset {duration(s.creation_usual_offset)}) / {looks}"
    return f"{_usual(select, c.OPENED, s)}\n/ ({there})"


def creation_spike(select: Selectors, s: Settings) -> str:
    """Find more connections than a floor, than usual, and than usual for the traffic, in no new process."""
    to_fleet = f"on ({_FLEET}) group_left ()"
    now = per_pool(c.OPENED, f"rate({select.series(c.OPENED, window=s.creation_window)})")
    checkouts = per_pool(c.CHECKOUTS, f"rate({select.series(c.CHECKOUTS, window=s.creation_window)})")
    restarted = per_pool(c.CHECKOUTS, f"resets({select.series(c.CHECKOUTS, window=s.creation_age)})")
    return (
        _all(
            f"{now} > {number(s.creation_per_second)}",
            f"{now}\n> {to_fleet}\n({number(s.creation_times_usual)} * {usual_creation(select, s)})",
            f"({now}\n/ {checkouts})\n> {to_fleet}\n({number(s.creation_times_usual_per_checkout)} * "
            f"{_usual(select, c.OPENED, s)}\n/ {_usual(select, c.CHECKOUTS, s)})",
            _there_before(select, s.creation_age),
        )
        + f"\nunless\n{restarted} > 0"
    )


def stalled(select: Selectors, s: Settings) -> str:
    """Find requests that wait and waited all along while nothing was handed out.

    The pool's sums are looked at over time, not the sums of what each origin's series did: an origin that is asked
    for the first time has no past, and origins may take turns to wait.
    """
    over = f"[{duration(s.stalled_window)}:{duration(s.stalled_step)}]"
    waiting = per_pool(c.PENDING, select.series(c.PENDING))
    handed_out = per_pool(c.ACQUISITIONS, select.series(c.ACQUISITIONS))
    return _all(
        f"{waiting} > 0",
        f"min_over_time(({waiting}){over}) > 0",
        f"increase(({handed_out}){over}) == 0",
        _there_before(select, s.stalled_window),
        _fresh(select, s),
    )


def timeouts(select: Selectors, s: Settings) -> str:
    """Find waits that ended in PoolTimeout: some, and a share of all waits that ended."""
    timed_out = _gained_by_pool(select, c.TIMEOUTS, s.timeout_window)
    ended = _gained_by_pool(select, c.WAIT_TIME, s.timeout_window, suffix="_count")
    return f"({timed_out} >= {number(s.timeout_count)})\n/ {ended}\n> {number(s.timeout_ratio)}"


def leaks(select: Selectors, s: Settings) -> str:
    """Find leaks that were proved, by their type."""
    return f"({_gained(select, c.LEAKED, s.leak_window)}) > 0"


def orphaned(select: Selectors, s: Settings) -> str:
    """Find slots that no request owned all along."""
    return _all(
        f"{select.series(c.ORPHANED)} > 0",
        f"min_over_time({select.series(c.ORPHANED, window=s.orphaned_window)}) > 0",
        select.series(c.ORPHANED, offset=s.orphaned_window),
        f"present_over_time({select.series(c.ORPHANED, window=s.fresh_window)})",
    )


def keep_alive_churn(select: Selectors, s: Settings) -> str:
    """Find good connections that the pool closed, against the requests that could have used them."""
    reasons = f'{c.prometheus_label(c.REASON)}=~"{c.KEEPALIVE_LIMIT}|{c.EVICTED}"'
    closed = _increase(select, c.CLOSED, s.churn_window, reasons)
    checkouts = _increase(select, c.CHECKOUTS, s.churn_window)
    floor = s.churn_per_second * s.churn_window
    return f"({closed} > {number(floor)})\n/ {checkouts}\n> {number(s.churn_ratio)}"


def client_per_request(select: Selectors, s: Settings) -> str:
    """Find pools made, against the requests they served."""
    made = f"increase({select.series(c.POOLS_OPENED, window=s.client_per_request_window)})"
    checkouts = _increase(select, c.CHECKOUTS, s.client_per_request_window)
    return (
        f"({made} >= {number(s.client_per_request_count)})\n/ ({checkouts} > 0)\n> {number(s.client_per_request_ratio)}"
    )


def stale_reuse(select: Selectors, s: Settings) -> str:
    """Find idle connections that the server closed first, against all that ended."""
    by_server = f'{c.prometheus_label(c.REASON)}="{c.SERVER_DISCONNECTED}"'
    closed_by_server = _increase(select, c.CLOSED, s.stale_window, by_server)
    closed = _increase(select, c.CLOSED, s.stale_window)
    return f"({closed_by_server} >= {number(s.stale_count)})\n/ {closed}\n> {number(s.stale_ratio)}"
