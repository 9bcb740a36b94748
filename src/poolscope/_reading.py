"""One consistent copy of what was counted, and how copies of several pools become one.

Numbers and histograms add up. Where pools share a name, `in_use` and the limits are those of the fullest live one, so
that one full pool is not hidden by an empty one; ages are those of the oldest.
"""

from dataclasses import dataclass, field
from itertools import chain

from poolscope import _contract as c
from poolscope._levels import levels_of, points_of
from poolscope._pool import Pool
from poolscope._tally import Histogram, Point
from poolscope._transitions import HOLDING, OFFERED, WAITING

_OF_THE_FULLEST = (c.IN_USE, c.MAX, c.IDLE_MAX)
_WHOLE_REQUESTS = (c.ACTIVE_REQUESTS, c.REQUEST_DURATION)
_OLDEST = (c.OLDEST_PENDING_AGE, c.OLDEST_USE_AGE)


@dataclass(slots=True)
class Reading:
    """The points of the contract at one moment. fullest: utilization of the pool whose limits these are, by name."""

    numbers: dict[Point, float] = field(default_factory=dict)
    histograms: dict[Point, Histogram] = field(default_factory=dict)
    fullest: dict[str, float] = field(default_factory=dict)

    def add(self, other: "Reading") -> None:
        """Add another pool's points."""
        for name, utilization in other.fullest.items():
            if utilization >= self.fullest.get(name, -2.0):
                self.fullest[name] = utilization
                for metric in _OF_THE_FULLEST:
                    self.numbers.pop((metric, (name,)), None)
        for point, value in other.numbers.items():
            metric = point[0]
            mine = self.numbers.get(point)
            if mine is None:
                self.numbers[point] = value
            elif metric in _OLDEST:
                self.numbers[point] = max(mine, value)
            elif metric not in _OF_THE_FULLEST:
                self.numbers[point] = mine + value
        for point, histogram in other.histograms.items():
            known = self.histograms.get(point)
            self.histograms[point] = histogram if known is None else known.plus(histogram)

    def by_metric(self) -> dict[c.Metric, list[Point]]:
        """Give the points of each metric that has some."""
        points: dict[c.Metric, list[Point]] = {}
        for point in chain(self.numbers, self.histograms):
            points.setdefault(point[0], []).append(point)
        return points


def read(pool: Pool, live: bool, pooled: bool, now: float) -> Reading:
    """Copy a pool's points. Called with the pool's lock held.

    live: somebody can still use the pool. pooled: False where only whole requests are seen.
    """
    reading = Reading()
    numbers, same = reading.numbers, pool.tallies.points.setdefault
    for tally, levels in levels_of(pool).items():
        for at, value in chain(tally.counters(pool.name), points_of(pool.name, tally, levels)):
            numbers[same(at, at)] = value
        for at, histogram in tally.histograms(pool.name):
            reading.histograms[same(at, at)] = histogram.copy()
    if pooled:
        _read_pool(reading, pool, live, now)
        return reading
    return Reading(
        {at: value for at, value in numbers.items() if at[0] in _WHOLE_REQUESTS},
        {at: value for at, value in reading.histograms.items() if at[0] in _WHOLE_REQUESTS},
    )


def _read_pool(reading: Reading, pool: Pool, live: bool, now: float) -> None:
    numbers, slots = reading.numbers, pool.slots
    key = (pool.name,)
    known = pool.counted()
    waiting = [checkout.entered_at for checkout, _ in known if checkout.state in (WAITING, OFFERED)]
    holding = [checkout.offered_at for checkout, _ in known if checkout.state == HOLDING]
    numbers[c.IN_USE, key] = slots.in_use
    numbers[c.MAX, key] = pool.max
    numbers[c.IDLE_MAX, key] = pool.idle_max
    numbers[c.ORPHANED, key] = len(pool.losses.orphaned)
    numbers.update({(c.LEAKED, (pool.name, kind)): count for kind, count in pool.losses.leaks.items()})
    numbers[c.BUSY_TIME, key] = slots.busy_until(now)
    numbers[c.OLDEST_PENDING_AGE, key] = now - min(waiting, default=now)
    numbers[c.OLDEST_USE_AGE, key] = now - min(holding, default=now)
    numbers[c.POOLS, key] = int(live)
    numbers[c.POOLS_OPENED, key] = pool.opened
    reading.fullest[pool.name] = slots.in_use / pool.max if live and pool.max else float(live) - 1.0
