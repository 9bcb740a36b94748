"""Hours of every metric of the contract, for backfilling a real Prometheus: a small queueing model, no traffic.

A pool has an arrival rate, a hold time and a limit, each a function of time. What follows (use, queue, waits,
time-outs, creations) follows from these three, and the contract's equations hold in every sample.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from alerting.sim import SCOPE, STEP
from poolscope import _contract as c

PATIENCE = 5.0
Shape = Callable[[float], float]
Lots = tuple[tuple[float, float, float], ...]


def flat(value: float) -> Shape:
    return lambda minute: value


def ramp(before: float, after: float, start: float, minutes: float) -> Shape:
    return lambda minute: before + (after - before) * min(1, max(0, (minute - start) / minutes))


@dataclass
class Plan:
    """One pool of one process. `arrivals` a second, `hold` seconds, `fresh` share of new connections."""

    job: str
    instance: str
    pool: str
    limit: float = 100
    arrivals: Shape = field(default_factory=lambda: flat(40))
    hold: Shape = field(default_factory=lambda: flat(0.5))
    fresh: Shape = field(default_factory=lambda: flat(0.03))
    origins: tuple[tuple[str, str, float], ...] = (("pay.example", "443", 0.8), ("bank.example", "443", 0.2))
    leaks: Shape = field(default_factory=lambda: flat(0))
    lost: Shape = field(default_factory=lambda: flat(0))
    reason: str = c.KEEPALIVE_EXPIRED
    otel: bool = False
    http2: bool = False


class Writer:
    """Collects samples by family and writes OpenMetrics."""

    def __init__(self) -> None:
        self.rows: dict[str, list[str]] = {}
        self.totals: dict[tuple, float] = {}

    def put(self, metric: c.Metric, labels: dict[str, str], value: float, at: float, suffix: str = "") -> None:
        inside = ",".join(f'{c.prometheus_label(k)}="{v}"' for k, v in labels.items())
        row = f"{metric.prometheus_name}{suffix}{{{inside}}} {value:.10g} {at:.0f}"
        self.rows.setdefault(metric.name, []).append(row)

    def add(self, metric: c.Metric, labels: dict[str, str], more: float, at: float, suffix: str = "") -> None:
        key = (metric.name, suffix, *labels.values())
        self.totals[key] = self.totals.get(key, 0) + more
        self.put(metric, labels, self.totals[key], at, suffix)

    def observe(self, metric: c.Metric, labels: dict[str, str], lots: Lots, at: float) -> None:
        """Record lots of values, each lot log-normal: how many, their median, their spread."""
        for bound in (*metric.buckets, math.inf):
            under = sum(n * (1.0 if bound == math.inf else below(bound, m, spread)) for n, m, spread in lots)
            le = "+Inf" if bound == math.inf else str(bound)
            self.add(metric, labels | {"le": le}, under, at, "_bucket")
        self.add(metric, labels, sum(n for n, _, _ in lots), at, "_count")
        self.add(metric, labels, sum(n * m * math.exp(spread**2 / 2) for n, m, spread in lots), at, "_sum")

    def text(self) -> str:
        lines = []
        for metric in c.METRICS:
            if metric.name not in self.rows:
                continue
            kind = {"updown": "gauge"}.get(metric.kind, metric.kind)
            lines.append(f"# TYPE {metric.prometheus_name.removesuffix('_total')} {kind}")
            lines += self.rows[metric.name]
        return "\n".join([*lines, "# EOF", ""])


def below(bound: float, median: float, sigma: float) -> float:
    return 0.5 * (1 + math.erf(math.log(bound / median) / sigma / math.sqrt(2)))


def write(plans: list[Plan], start: float, minutes: int, writer: Writer | None = None) -> str:
    """Write the history of some pools that begins at `start` (Unix time)."""
    writer = writer or Writer()
    for plan in plans:
        noise = random.Random(plan.instance + plan.pool)
        for i in range(minutes * 60 // STEP):
            moment(writer, plan, i / (60 / STEP), start + i * STEP, noise)
    return writer.text()


def moment(w: Writer, plan: Plan, minute: float, at: float, noise: random.Random) -> None:
    """Write one scrape of one pool."""
    labels = {"job": plan.job, "instance": plan.instance} | (SCOPE if plan.otel else {})
    p = labels | {c.POOL: plan.pool}
    arrivals = plan.arrivals(minute) * noise.uniform(0.95, 1.05)
    lost, hold = plan.lost(minute), plan.hold(minute)
    need = arrivals * hold + lost
    use = min(plan.limit, need * noise.uniform(0.92, 1.08))
    over = max(0.0, need / plan.limit - 0.9)
    waiting = round(min(arrivals * PATIENCE, over * plan.limit * noise.uniform(0.8, 1.3))) if over else 0
    wait = 0.002 if not over else min(4.5, 0.02 + 8 * over)
    timed_out = min(0.5, max(0.0, need / plan.limit - 1) * 0.6)
    n = arrivals * STEP
    w.put(c.IN_USE, p, round(use), at)
    w.put(c.MAX, p, plan.limit, at)
    w.put(c.IDLE_MAX, p, min(plan.limit, 20), at)
    w.add(c.BUSY_TIME, p, use * STEP, at)
    w.put(c.ORPHANED, p, lost, at)
    w.put(c.OLDEST_PENDING_AGE, p, min(PATIENCE, wait * 2) if waiting else 0, at)
    w.put(c.OLDEST_USE_AGE, p, hold * 4 + 60 * max(0, minute - 60) * (lost > 0), at)
    w.put(c.POOLS, p, 1, at)
    w.add(c.POOLS_OPENED, p, 1 if minute == 0 else 0, at)
    for leak in c.LEAKS:
        w.add(c.LEAKED, p | {c.LEAK: leak}, plan.leaks(minute) * (leak == "response_unclosed"), at)
    for address, port, share in plan.origins:
        b = p | {c.ADDRESS: address, c.PORT: port}
        idle = min(12, plan.limit - use) * share
        origin(w, plan, b, Share(n * share, use * share, idle, waiting * share, wait, timed_out, hold, minute), at)


@dataclass
class Share:
    """One origin's part of a moment."""

    n: float
    use: float
    idle: float
    waiting: float
    wait: float
    timed_out: float
    hold: float
    minute: float


def origin(w: Writer, plan: Plan, b: dict[str, str], s: Share, at: float) -> None:
    late, gone, fresh = s.n * s.timed_out, s.n * 0.002 * (s.waiting > 0), plan.fresh(s.minute)
    handed = s.n - late - gone
    w.add(c.CHECKOUTS, b, s.n, at)
    w.put(c.PENDING, b, round(s.waiting), at)
    w.put(c.CHECKED_OUT, b, round(s.use), at)
    shared = 0.3 if plan.http2 else 0.0
    parts = ((c.NEW, fresh), (c.SHARED, shared), (c.REUSED, 1 - fresh - shared))
    for name, part in parts:
        w.add(c.ACQUISITIONS, b | {c.SOURCE: name}, handed * part, at)
    for cause in c.CAUSES:
        part = {"slow_origin": 0.8, "burst": 0.2}.get(cause, 0)
        w.add(c.TIMEOUTS, b | {c.CAUSE: cause}, late * part, at)
    w.add(c.ABANDONED, b | {c.ERROR: "CancelledError"}, gone, at)
    waits = ((handed + gone, s.wait, 0.9), (late, PATIENCE * 1.005, 0.001))
    w.observe(c.WAIT_TIME, b, waits, at)
    for stage in c.STAGES:
        w.add(c.REQUEUES, b | {c.STAGE: stage}, handed * (0.001 if stage == c.EARLY else 0.0001), at)
    w.observe(c.USE_TIME, b, ((handed, s.hold * 0.8, 0.6),), at)
    if plan.http2:
        w.observe(c.STREAM_WAIT_TIME, b, ((handed, 0.003 + s.wait / 10, 0.8),), at)
    opened = handed * fresh
    w.add(c.OPENED, b, opened, at)
    w.put(c.ESTABLISHING, b, round(opened / STEP * 0.08), at)
    for error, part in (("", 1), ("ConnectTimeout", 0.01)):
        w.observe(c.CREATE_TIME, b | {c.ERROR: error}, ((opened * part, 0.06 if not error else 5, 0.5),), at)
    for state, level in ((c.ACTIVE, s.use), (c.IDLE, s.idle)):
        w.put(c.OPEN_CONNECTIONS, b | {c.STATE: state, c.PROTOCOL: "1.1"}, max(0, round(level)), at)
    for reason in c.REASONS:
        part = {plan.reason: 0.8, c.SERVER_DISCONNECTED: 0.15, c.CONNECTION_CLOSE: 0.05}.get(reason, 0)
        w.add(c.CLOSED, b | {c.REASON: reason}, opened * part, at)
    w.observe(c.REQUESTS_SERVED, b, ((opened, 1 / max(fresh, 0.01), 0.8),), at)
    w.observe(c.IDLE_TIME, b, ((handed * (1 - fresh), 0.3, 0.8),), at)
    w.observe(c.DURATION, b | {c.PROTOCOL: "1.1"}, ((opened, min(120, 2 / max(fresh, 0.01)), 0.8),), at)
    where = {k: v for k, v in b.items() if k != c.POOL}
    w.put(c.ACTIVE_REQUESTS, where | {c.METHOD: "GET"}, round(s.use + s.waiting), at)
    kind = {c.METHOD: "GET", c.STATUS: "200", c.ERROR: "", c.PROTOCOL: "1.1"}
    w.observe(c.REQUEST_DURATION, where | kind, ((handed, s.hold + s.wait, 0.8),), at)


def fleet() -> list[Plan]:
    """Four checkouts whose upstream slows down after 80 minutes, beside them what is idle, unlimited, or churns."""
    slow = [
        Plan(
            "checkout",
            f"checkout-{i}:8000",
            "payments",
            arrivals=flat(80),
            hold=ramp(0.4, 1.4, 88 + 1.5 * i, 14),
        )
        for i in range(4)
    ]
    search = (("search.example", "443", 1.0),)
    free = [
        Plan("checkout", f"checkout-{i}:8000", "search", c.UNLIMITED, flat(15), flat(0.2), origins=search, http2=True)
        for i in range(4)
    ]
    work = [
        Plan("worker", f"worker-{i}:9100", "payments", 20, flat(10), flat(1.1 + 0.1 * i), otel=True) for i in range(2)
    ]
    work[0].fresh, work[0].reason = ramp(0.02, 0.5, 115, 1), c.KEEPALIVE_LIMIT
    work[1].leaks, work[1].lost = (lambda m: float(m in (100.0, 110.0))), (lambda m: float(m > 100))
    return [*slow, *free, *work]


def idle() -> list[Plan]:
    """A pool that nobody uses, and one without a limit."""
    pool = Plan("idle", "idle-0:8000", "quiet", arrivals=flat(0))
    return [pool, Plan("idle", "idle-0:8000", "free", c.UNLIMITED, flat(0), origins=(("free.example", "443", 1.0),))]
