"""The dashboards' PromQL, from the contract's names: every selector carries the variables."""

from poolscope import _contract as c
from poolscope.alerts import expressions, recording
from poolscope.alerts.promql import FLEET, POOL, Selectors, bucket, number
from poolscope.alerts.settings import Settings

RATE = "$__rate_interval"
TARGET = 'job=~"$job", instance=~"$instance"'
WHERE = "job, instance, " + POOL
NAME = "{{" + POOL + "}} · {{instance}}"
ORIGIN = "{{server_address}}"
LABEL = c.prometheus_label
S = Settings()


def series(metric: c.Metric, *matchers: str, suffix: str = "") -> str:
    """Give a selector that the variables narrow."""
    pool = [f'{POOL}=~"$pool"'] if c.POOL in metric.labels else []
    return Selectors(", ".join([TARGET, *pool])).series(metric, *matchers, suffix=suffix)


def rate(metric: c.Metric, *matchers: str, suffix: str = "") -> str:
    return f"rate({series(metric, *matchers, suffix=suffix)}[{RATE}])"


def total(expr: str, by: str = "") -> str:
    return f"sum by ({by}) ({expr})" if by else f"sum({expr})"


def or_zero(expr: str, by: str = "") -> str:
    """Give zero where there is nothing but 0/0 and pools are measured: an idle one is healthy, and says so.

    What is not measured, or seldom scraped, has no zero: it would say that all is well.
    """
    return f"({expr} >= 0) or 0 * {total(rate(c.CHECKOUTS), by)}"


def finite(metric: c.Metric) -> str:
    """Give a limit where there is one."""
    return f"({series(metric)} < {number(c.LEAST_UNLIMITED)})"


def unlimited(metric: c.Metric) -> str:
    """Give a limit where there is none."""
    return f"{series(metric)} >= {number(c.LEAST_UNLIMITED)}"


def limit(metric: c.Metric) -> str:
    """Give the sum of the limits where there are any: of every worker, and of every pool of a name."""
    return f"sum({finite(metric)} * {series(c.POOLS)})"


def utilization() -> str:
    return recording.utilization(recording.DASHBOARD)


def ours(expr: str) -> str:
    """Keep the processes that have a pool: other services have metrics of these names, too."""
    return f"{expr} and on (job, instance) {series(c.MAX)}"


def quantile(q: float, metric: c.Metric, by: str = "") -> str:
    inside = ", ".join(["le", by] if by else ["le"])
    buckets = rate(metric, suffix="_bucket")
    buckets = buckets if c.POOL in metric.labels else ours(buckets)
    return f"histogram_quantile({q}, sum by ({inside}) ({buckets}))"


def slow_rate(by: str = "") -> str:
    """Give the rate of waits over the alert's line."""
    quick = rate(c.WAIT_TIME, bucket(S.slow_seconds), suffix="_bucket")
    return f"{total(rate(c.WAIT_TIME, suffix='_count'), by)} - {total(quick, by)}"


def top(n: int, expr: str) -> str:
    """Give the n series that were highest in the picture, as whole curves."""
    return f"({expr}) and topk({n}, max_over_time(({expr})[$__range:1m] @ end()))"


def usual_creation() -> str:
    """Give what the alert calls usual, times its factor."""
    return f"{number(S.creation_times_usual)} * {expressions.usual_creation(recording.DASHBOARD, S)}"


FLEET_LABELS = ", ".join(FLEET)
