"""Recording rules for large fleets: what the fleet's dashboard asks of every instance, worked out once.

1. A dashboard that was exported for them has the recorded name wherever the plain one has the expression: both are
   written by the functions here, so the figures are the same.
2. What is recorded keeps `job`, `instance` and the pool, so that the dashboard's variables still narrow.

Below some hundred instances nothing needs them: `docs/dashboards.md` has the times that were measured.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from poolscope import _contract as c
from poolscope.alerts.promql import POOL, Selectors, number
from poolscope.alerts.yaml import dump

GROUP = "httpx-pool-recorded"
HEAD = "What the dashboards of large fleets read, for Prometheus. Written by `poolscope export`."
STEP, WINDOW, COARSE = "30s", "1m", "1m"
WHERE = f"job, instance, {POOL}"
DASHBOARD = Selectors(f'job=~"$job", instance=~"$instance", {POOL}=~"$pool"')
RATE = "$__rate_interval"

_KEPT = {c.POOL, c.REASON, c.CAUSE, c.SOURCE, c.STAGE, c.LEAK}
_KEPT_OF_ONE = {
    c.CREATE_TIME: {c.ERROR},
    c.USE_TIME: {c.ADDRESS},
    c.STREAM_WAIT_TIME: {c.ADDRESS},
    c.REQUEST_DURATION: {c.ADDRESS},
}
_RATES = {
    f"{metric.prometheus_name}{suffix}": metric
    for metric in c.METRICS
    if metric.kind in ("counter", "histogram") and not metric.opt_in
    for suffix in (("_bucket", "_count", "_sum") if metric.kind == "histogram" else ("",))
}
_DIRECT = re.compile(r"rate\((\w+)\{([^{}]*)\}\[\$__rate_interval\]\)")


@dataclass(frozen=True, slots=True)
class Recording:
    """A recorded ratio or level of each pool: its name, and how it is written for a selector and a rate's window."""

    name: str
    direct: Callable[[Selectors, str], str]


def _rate(select: Selectors, metric: c.Metric, window: str, suffix: str = "") -> str:
    return f"sum by ({WHERE}) (rate({select.series(metric, suffix=suffix)}[{window}]))"


def utilization(select: Selectors, _: str = "") -> str:
    """Give each pool's use of its limit, zero where there is none: the fullest worker's where there are several."""
    used = select.series(c.IN_USE)
    return f"max by ({WHERE}) ({used} / ({select.series(c.MAX)} < {number(c.LEAST_UNLIMITED)} > 0) or 0 * {used})"


def _limit(select: Selectors) -> str:
    """Give the connections that may be there: in every worker, and in every pool of a name (`max` is one's)."""
    return f"sum by ({WHERE}) ({select.series(c.MAX)} * {select.series(c.POOLS)})"


def demand(select: Selectors, window: str) -> str:
    """Give what arrivals times hold time would need of each pool's limit, by Little's law.

    It counts requests, so it says nothing of a pool whose connections carry several at once.
    """
    checkouts, held = _rate(select, c.CHECKOUTS, window), _rate(select, c.USE_TIME, window, "_sum")
    need = f"{checkouts} * {held} / ({_rate(select, c.USE_TIME, window, '_count')} > 0)"
    shared = select.series(c.OPEN_CONNECTIONS, f'{c.prometheus_label(c.PROTOCOL)}="2"')
    return f"({need}) / on ({WHERE}) ({_limit(select)} > 0) unless on ({WHERE}) {shared} > 0"


def mean_utilization(select: Selectors, window: str) -> str:
    """Give each pool's exact mean utilization."""
    return f"{_rate(select, c.BUSY_TIME, window)} / on ({WHERE}) ({_limit(select)} > 0)"


def fresh(select: Selectors, window: str) -> str:
    """Give each pool's new connections for each request."""
    return f"{_rate(select, c.OPENED, window)} / ({_rate(select, c.CHECKOUTS, window)} > 0)"


RECORDINGS = (
    Recording("pool:http_client_connection_utilization:ratio", utilization),
    Recording("pool:http_client_connection_demand:ratio", demand),
    Recording("pool:http_client_connection_mean_utilization:ratio", mean_utilization),
    Recording("pool:http_client_connection_opened_per_checkout:ratio", fresh),
)


def recorded_rate(name: str) -> str:
    """Give the recorded name of a counter's rate."""
    return f"pool:{name}:rate{WINDOW}"


def dropped(metric: c.Metric) -> list[str]:
    """Give the labels that a recorded rate has no more."""
    kept = _KEPT | _KEPT_OF_ONE.get(metric, set())
    return [c.prometheus_label(label) for label in metric.labels if label not in kept]


def rules(selector: str = "") -> Iterator[tuple[str, str]]:
    """Give every recorded name with its expression."""
    select = Selectors(selector)
    for name, metric in _RATES.items():
        rate = f"rate({select.series(metric, suffix=name.removeprefix(metric.prometheus_name))}[{WINDOW}])"
        yield recorded_rate(name), f"sum without ({', '.join(gone)}) ({rate})" if (gone := dropped(metric)) else rate
    for recording in RECORDINGS:
        yield recording.name, recording.direct(select, WINDOW)


def prometheus(selector: str = "") -> str:
    """Write the recording rules as a file for `rule_files`."""
    made = [{"record": name, "expr": expr} for name, expr in rules(selector)]
    return dump({"groups": [{"name": GROUP, "interval": STEP, "rules": made}]}, HEAD)


def reading(expr: str, selector: str = "") -> str:
    """Put recorded names into a dashboard's query. What is recorded by pool alone was narrowed when it was recorded."""
    select = Selectors(f"{selector}, {DASHBOARD.extra}") if selector else DASHBOARD
    for recording in RECORDINGS:
        expr = expr.replace(recording.direct(select, RATE), f"{recording.name}{{{DASHBOARD.extra}}}")
    return _DIRECT.sub(_recorded, expr)


def _recorded(found: re.Match[str]) -> str:
    name, matchers = found.groups()
    return f"{recorded_rate(name)}{{{matchers}}}" if name in _RATES else found[0]


def read_by(tree: dict[str, Any], selector: str = "") -> None:
    """Let a dashboard read what is recorded, a point a minute."""
    for panel in tree["panels"]:
        if panel["type"] != "row":
            panel["interval"] = COARSE
        for target in panel.get("targets", []):
            target["expr"] = reading(target["expr"], selector)
