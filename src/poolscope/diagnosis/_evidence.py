"""What findings are judged by: the contract's points of one pool at two moments, and the seconds between.

1. A process's own reading, a scraped exposition and Prometheus's answer all become the same evidence.
2. What is absent is 0 where things are counted, and None where a limit or a time has nothing to stand on.
3. What no metric says (`seen`, `snapshot`, `earlier`) is there only where the process itself is asked.
"""

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from poolscope import _contract as c
from poolscope._reading import Reading
from poolscope._seen import Seen
from poolscope._snapshot import PoolSnapshot
from poolscope._tally import Histogram, LabelValues, Point

Where = Mapping[str, str]
"""Label values by the contract's names; a point matches if it carries them all."""

_EVERYTHING: Where = {}


@dataclass(frozen=True, slots=True)
class Evidence:
    """One pool between two moments.

    before, after: its points. seconds: between the two; None where not known. seen, snapshot: from its own process,
    else None. earlier: the points of pools under the same name that this process has had before. ignored: what its
    client was given and does not use.
    """

    pool: str
    before: Reading
    after: Reading
    seconds: float | None = None
    seen: Seen | None = None
    snapshot: PoolSnapshot | None = None
    earlier: Reading = field(default_factory=Reading)
    ignored: tuple[str, ...] = ()

    def level(self, metric: c.Metric, where: Where = _EVERYTHING) -> float:
        """Give a gauge's sum at the second moment."""
        return _sum(self.after, metric, where)

    def level_before(self, metric: c.Metric, where: Where = _EVERYTHING) -> float:
        """Give a gauge's sum at the first moment."""
        return _sum(self.before, metric, where)

    def increase(self, metric: c.Metric, where: Where = _EVERYTHING) -> float:
        """Give by how much a counter grew."""
        return max(0.0, _sum(self.after, metric, where) - _sum(self.before, metric, where))

    def increase_of_all(self, metric: c.Metric, where: Where = _EVERYTHING) -> float:
        """Give by how much a counter grew, the earlier pools of the same name included."""
        return self.increase(metric, where) + _sum(self.earlier, metric, where)

    def growth(self, metric: c.Metric, where: Where = _EVERYTHING) -> Histogram:
        """Give what a histogram observed between the two moments."""
        grown = Histogram(metric.buckets)
        for sign, reading in ((1, self.after), (-1, self.before)):
            for (known, labels), histogram in reading.histograms.items():
                if known is metric and _matches(metric, labels, where):
                    grown.sum += sign * histogram.sum
                    grown.counts = [n + sign * m for n, m in zip(grown.counts, histogram.counts, strict=True)]
        grown.sum = max(0.0, grown.sum)
        grown.counts = [max(0, n) for n in grown.counts]
        return grown

    @property
    def limit(self) -> float | None:
        """The limit of connections of one pool; None where there is none."""
        return self._limit(c.MAX)

    @property
    def idle_limit(self) -> float | None:
        """The limit of idle connections of one pool; None where there is none."""
        return self._limit(c.IDLE_MAX)

    def _limit(self, metric: c.Metric) -> float | None:
        value = self.level(metric)
        return value if 0 < value < c.LEAST_UNLIMITED else None

    @property
    def unlimited(self) -> bool:
        """Whether the pool says that it has no limit."""
        return self.level(c.MAX) >= c.LEAST_UNLIMITED

    @property
    def pools(self) -> float:
        """How many live pools share the name: one at least."""
        return max(1.0, self.level(c.POOLS))

    @property
    def checkouts(self) -> float:
        """How many requests entered the pool."""
        return self.increase(c.CHECKOUTS)

    def origins(self) -> list[Where]:
        """Give the origins that requests went to, each as labels, the busiest first."""
        seen: dict[tuple[str, str], float] = {}
        for metric, labels in self.after.numbers:
            if metric is c.CHECKOUTS and labels[1]:
                address, port = str(labels[1]), str(labels[2])
                seen[address, port] = self.increase(metric, {c.ADDRESS: address, c.PORT: port})
        used = sorted((one for one in seen if seen[one]), key=lambda one: -seen[one])
        return [{c.ADDRESS: address, c.PORT: port} for address, port in used]


def above(histogram: Histogram, bound: float) -> int:
    """Give how many observations were above `bound`, which must be one of the histogram's own."""
    return sum(histogram.counts[bisect_right(histogram.bounds, bound) :])


def mean(histogram: Histogram) -> float:
    """Give the mean of what was observed; 0 of nothing."""
    count = histogram.count
    return histogram.sum / count if count else 0.0


def named(where: Where) -> str:
    """Write an origin's labels as host:port."""
    return f"{where[c.ADDRESS]}:{where[c.PORT]}" if where[c.PORT] else where[c.ADDRESS]


def by_pool(before: Reading, after: Reading, seconds: float | None) -> Iterator[Evidence]:
    """Give the evidence on every pool of two readings of one process. A counter that went back began anew."""
    earlier = _split(before)
    pools = _split(after)
    pools.pop("", None)  # no pool of ours is without a name
    for pool, points in sorted(pools.items()):
        known = earlier.get(pool)
        if known is None or _restarted(known, points):
            # Its first moment is its start, which nobody saw; where both readings are meant to be one life, it is ours.
            known, began = Reading(), None if before.numbers else seconds
        else:
            began = seconds
        yield Evidence(pool, known, points, began)


def _split(reading: Reading) -> dict[str, Reading]:
    pools: dict[str, Reading] = {}
    for point, value in reading.numbers.items():
        if point[0].labels[0] == c.POOL:
            pools.setdefault(_pool(point), Reading()).numbers[point] = value
    for point, histogram in reading.histograms.items():
        if point[0].labels[0] == c.POOL:
            pools.setdefault(_pool(point), Reading()).histograms[point] = histogram
    return pools


def _pool(point: Point) -> str:
    return str(point[1][0])


def _restarted(before: Reading, after: Reading) -> bool:
    counters = [point for point in before.numbers if point[0].kind == "counter"]
    return any(after.numbers.get(point, 0.0) < before.numbers[point] for point in counters)


def _sum(reading: Reading, metric: c.Metric, where: Where) -> float:
    return math.fsum(
        value
        for (known, labels), value in reading.numbers.items()
        if known is metric and _matches(metric, labels, where)
    )


def _matches(metric: c.Metric, labels: LabelValues, where: Where) -> bool:
    return all(str(labels[metric.labels.index(name)]) == value for name, value in where.items())
