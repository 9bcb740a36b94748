"""PromQL selectors from the contract: a metric's name, its matchers, and what is summed away before a join.

In prometheus_client's multi-process mode gauges carry a `pid` and counters do not; per-origin metrics carry
the origin. `per_pool` sums both away and leaves every other label as it is, so that each process stays on its
own and labels that a scrape configuration adds survive to the alert.
"""

from dataclasses import dataclass

from poolscope import _contract as c
from poolscope.alerts.settings import duration

POOL = c.prometheus_label(c.POOL)
FLEET = ("cluster", "namespace", "job", POOL)
"""What the instances of one service share."""
INSTANCE = ("cluster", "namespace", "job", "instance")
"""What tells one process from another."""
PROCESS = (*INSTANCE, POOL)
"""What tells one process's pool from another's."""


@dataclass(frozen=True, slots=True)
class Selectors:
    """Writes selectors that all carry the same extra matchers, such as `team="payments"`."""

    extra: str = ""

    def series(
        self,
        metric: c.Metric,
        *matchers: str,
        suffix: str = "",
        window: float | None = None,
        offset: float | None = None,
    ) -> str:
        """Give one selector."""
        inside = ", ".join([*matchers, *([self.extra] if self.extra else [])])
        text = metric.prometheus_name + suffix + (f"{{{inside}}}" if inside else "")
        if window is not None:
            text += f"[{duration(window)}]"
        return text if offset is None else f"{text} offset {duration(offset)}"


def per_pool(metric: c.Metric, inner: str, *more: str) -> str:
    """Sum one metric's series to one per process and pool."""
    away = [c.prometheus_label(label) for label in metric.labels if label != c.POOL]
    if metric.kind in ("updown", "gauge"):
        away.append("pid")
    return f"sum without ({', '.join([*away, *more])}) ({inner})"


def number(value: float) -> str:
    """Write a number as short as it is exact."""
    return f"{value:.12g}".replace("e+", "e")


def bucket(bound: float) -> str:
    """Match a bound in both spellings: Prometheus 2 keeps `5` or `5.0` as scraped, 3 writes `5.0`."""
    short, long = number(bound), str(float(bound))
    return 'le=~"' + "|".join(dict.fromkeys((short, long))).replace(".", "[.]") + '"'
