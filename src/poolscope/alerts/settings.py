"""Every number an alert or a dashboard's threshold uses stands here, and nowhere else.

1. Rules, dashboards and the tests read these fields; none writes a number of its own.
2. Fields that end in `_window`, `_for`, `_step`, `_age` or `_offset` are seconds of the rules' own clock,
   which `scaled` shrinks by one factor. The others say what a pool does, and do not scale.
"""

from dataclasses import dataclass, fields, replace
from math import inf

from poolscope import _contract as c

TIMES = ("_window", "_for", "_step", "_age", "_offset")
LONGEST = 365 * 86_400


@dataclass(frozen=True, slots=True)
class Settings:
    """Thresholds and windows of all alerts; the defaults are what the committed rules hold."""

    utilization_ratio: float = 0.8
    utilization_window: float = 600
    utilization_step: float = 15
    utilization_share: float = 0.8
    utilization_for: float = 60

    slow_seconds: float = 5.0
    slow_ratio: float = 0.01
    slow_count: float = 3
    slow_window: float = 300
    slow_for: float = 60

    creation_per_second: float = 0.2
    creation_times_usual: float = 3
    creation_times_usual_per_checkout: float = 1.5
    creation_window: float = 300
    creation_usual_window: float = 3600
    creation_usual_step: float = 60
    creation_usual_offset: float = 600
    creation_age: float = 900
    creation_for: float = 300

    stalled_window: float = 180
    stalled_step: float = 15

    timeout_ratio: float = 0.01
    timeout_count: float = 3
    timeout_window: float = 300

    leak_window: float = 900
    orphaned_window: float = 600

    churn_ratio: float = 0.2
    churn_per_second: float = 0.2
    churn_window: float = 900
    churn_for: float = 1800

    client_per_request_ratio: float = 0.5
    client_per_request_count: float = 10
    client_per_request_window: float = 900
    client_per_request_for: float = 300

    stale_ratio: float = 0.5
    stale_count: float = 10
    stale_window: float = 900
    stale_for: float = 1800

    fresh_window: float = 60
    keep_firing_for: float = 300
    evaluation_step: float = 30

    def __post_init__(self) -> None:
        """Refuse what no rule could hold."""
        for field in fields(self):
            value = getattr(self, field.name)
            if not value > 0:
                raise ValueError(f"{field.name} must be greater than 0, not {value:g}")
            if value == inf:
                raise ValueError(f"{field.name} must be finite")
            if field.name.endswith(("_ratio", "_share")) and value > 1:
                raise ValueError(f"{field.name} is a share and cannot be more than 1, not {value:g}")
            if field.name.endswith(TIMES) and (value > LONGEST or value != round(value, 3)):
                raise ValueError(f"{field.name} must be whole milliseconds and at most a year, not {value:g} s")
        for what in ("utilization", "stalled", "creation_usual"):
            step, window = getattr(self, f"{what}_step"), getattr(self, f"{what}_window")
            if step > window:
                raise ValueError(
                    f"{what}_step cannot be longer than {what}_window: {step:g} s is more than {window:g} s"
                )
        if self.slow_seconds not in c.QUEUE:
            bounds = ", ".join(f"{bound:g}" for bound in c.QUEUE)
            raise ValueError(f"slow_seconds must be a bucket of the wait histogram ({bounds})")

    def scaled(self, factor: float) -> "Settings":
        """Give the same rules on a clock that runs `factor` times as fast, to the millisecond."""
        return replace(
            self,
            **{f.name: round(getattr(self, f.name) / factor, 3) for f in fields(self) if f.name.endswith(TIMES)},
        )

    @property
    def utilization_points(self) -> int:
        """How many of the window's quarter-minutes have to be above the line."""
        return round(self.utilization_share * self.utilization_window / self.utilization_step)


def duration(seconds: float) -> str:
    """Write seconds as PromQL does: the largest unit that divides them."""
    milliseconds = round(seconds * 1000)
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"
