"""Hours of pools of every shape at steady rates, for backfilling a real Prometheus: what a sink exposes of each.

Several workers behind one address: their gauges carry a `pid`, their counters are sums, the ages and the busy time are
absent. Pools of one name: `in_use` and `max` are those of the fullest, all else are sums.
"""

from dataclasses import dataclass

from alerting.history import Writer
from poolscope import _contract as c

CAUSE = {c.CAUSE: "slow_origin"}


@dataclass(frozen=True)
class Shape:
    """Pools of one name in one instance. Levels are each worker's, rates a second and the whole instance's.

    `ended`: waits and holds, if they are not as many as the arrivals. `ours`: a pool of ours is behind the requests.
    """

    instance: str
    job: str = "shop"
    pool: str = "payments"
    limit: float = 10
    in_use: float = 4
    active: float = 4
    setting_up: float = 0
    idle: float = 2
    waiting: float = 0
    pools: int = 1
    pids: tuple[str, ...] = ()
    arrivals: float = 10
    ended: float | None = None
    timed_out: float = 0
    late: float = 0
    opened: float = 0.2
    failed: float = 0
    hold: float = 0.4
    protocol: str = "1.1"
    step: int = 15
    begins: int = 0
    ends: int = 80
    origin: str = "pay.example"
    ours: bool = True


def history(shapes: list[Shape], start: float, more: str = "") -> str:
    """Write what Prometheus scraped. `begins` and `ends` are minutes after `start`; more: lines of other series."""
    writer = Writer()
    for shape in shapes:
        for t in range(shape.begins * 60, shape.ends * 60, shape.step):
            requests(writer, shape, t - shape.begins * 60, start + t)
            if shape.ours:
                counters(writer, shape, t - shape.begins * 60, start + t)
            for pid in shape.pids or ("",) * shape.ours:
                gauges(writer, shape, pid, start + t)
    return writer.text().replace("# EOF", f"{more}# EOF")


def labels(shape: Shape) -> tuple[dict[str, str], dict[str, str]]:
    """Give the labels of a pool's series, and of an origin's."""
    of_pool = {"job": shape.job, "instance": shape.instance, c.POOL: shape.pool}
    return of_pool, of_pool | {c.ADDRESS: shape.origin, c.PORT: "443"}


def gauges(w: Writer, shape: Shape, pid: str, at: float) -> None:
    """Write one scrape of one worker's levels."""
    of_pool, of_origin = (each | {"pid": pid} for each in labels(shape))
    levels = (
        (c.IN_USE, shape.in_use),
        (c.MAX, shape.limit),
        (c.IDLE_MAX, shape.limit),
        (c.ORPHANED, 0),
        (c.POOLS, shape.pools),
    )
    for metric, level in levels:
        w.put(metric, of_pool, level, at)
    origins = ((c.PENDING, shape.waiting), (c.ESTABLISHING, shape.setting_up), (c.CHECKED_OUT, shape.active))
    for metric, level in origins:
        w.put(metric, of_origin, level, at)
    for state, level in zip(c.STATES, (shape.active, shape.idle), strict=True):
        w.put(c.OPEN_CONNECTIONS, of_origin | {c.STATE: state, c.PROTOCOL: shape.protocol}, level, at)
    if not pid:
        w.put(c.OLDEST_PENDING_AGE, of_pool, 3 if shape.waiting else 0, at)
        w.put(c.OLDEST_USE_AGE, of_pool, shape.hold, at)


def requests(w: Writer, shape: Shape, t: float, at: float) -> None:
    """Write one scrape of the metrics that know no pool, which any instrumented client may have."""
    of_origin = {name: value for name, value in labels(shape)[1].items() if name != c.POOL}
    observed(w, c.REQUEST_DURATION, of_origin, shape.arrivals * t, at)
    w.put(c.ACTIVE_REQUESTS, of_origin, shape.active + shape.waiting, at)


def counters(w: Writer, shape: Shape, t: float, at: float) -> None:
    """Write one scrape of what has been counted in `t` seconds."""
    of_pool, of_origin = labels(shape)
    if not shape.pids:
        w.put(c.BUSY_TIME, of_pool, shape.active * t, at)
    w.put(c.CHECKOUTS, of_origin, shape.arrivals * t, at)
    w.put(c.ACQUISITIONS, of_origin | {c.SOURCE: c.REUSED}, (shape.arrivals - shape.timed_out) * t, at)
    w.put(c.TIMEOUTS, of_origin | CAUSE, shape.timed_out * t, at)
    w.put(c.OPENED, of_origin, shape.opened * t, at)
    ended = (shape.arrivals if shape.ended is None else shape.ended) * t
    observed(w, c.CREATE_TIME, of_origin | {c.ERROR: "ConnectTimeout"}, shape.failed * t, at)
    observed(w, c.CREATE_TIME, of_origin | {c.ERROR: ""}, shape.opened * t, at)
    observed(w, c.USE_TIME, of_origin, ended, at, shape.hold)
    observed(w, c.WAIT_TIME, of_origin, ended, at, late=shape.late)


def observed(w: Writer, metric: c.Metric, at_origin: dict, n: float, at: float, each: float = 0.1, late: float = 0):
    """Write a histogram of `n` values: the late share of them is between 5 and 10 s."""
    for bound, share in (("1.0", 1 - late), ("5.0", 1 - late), ("10.0", 1), ("+Inf", 1)):
        w.put(metric, at_origin | {"le": bound}, n * share, at, "_bucket")
    w.put(metric, at_origin, n, at, "_count")
    w.put(metric, at_origin, n * each, at, "_sum")
