"""The pools that a sink knows, and the sum of those that are gone.

A pool that was collected keeps counting in what it counted: counters never go back, and memory does not grow with the
number of pools that were ever made.
"""

from collections.abc import Callable

from poolscope._locks import new_lock
from poolscope._reading import Reading
from poolscope._subscription import ObservedPool
from poolscope.sinks._unhurried import unhurried

Cut = Callable[[], None]

_SWEEP_AT = 32


def _nothing(_: ObservedPool) -> None:
    return None


class Book:
    """The pools of one sink.

    cut: gives what to do at the moment a pool is read. gone: told of a pool that ended, after its last reading.
    """

    def __init__(
        self,
        cut: Callable[[ObservedPool], Cut | None] = _nothing,
        gone: Callable[[ObservedPool], None] = _nothing,
    ) -> None:
        self._cut = cut
        self._tell_gone = gone
        self._pools: list[ObservedPool] = []
        self._gone = Reading()
        self._sweep_at = _SWEEP_AT
        self._lock = new_lock()  # not held while a pool is read: whoever makes a client waits for it

    def add(self, pool: ObservedPool) -> None:
        """Know a pool from now on. A second time changes nothing."""
        with self._lock:
            if pool in self._pools:
                return
            self._pools.append(pool)
            many = len(self._pools) > self._sweep_at  # a client per request, and nobody who reads
        if many:
            for other in self.pools:
                if not other.owned:
                    self._read(other)
            self._sweep_at = max(_SWEEP_AT, 2 * len(self._pools))

    @property
    def pools(self) -> list[ObservedPool]:
        """The pools that are not gone."""
        with self._lock:
            return list(self._pools)

    def read(self) -> Reading:
        """Give everything counted, each pool as it was at one moment."""
        total = Reading()
        with self._lock:
            total.add(self._gone)
            pools = list(self._pools)
        for pool in unhurried(pools):
            total.add(self._read(pool))
        return total

    def _read(self, pool: ObservedPool) -> Reading:
        over = not pool.owned and pool.over
        reading = pool.read(self._cut(pool))
        if over:
            self._forget(pool, reading)
        return reading

    def _forget(self, pool: ObservedPool, reading: Reading) -> None:
        """Let a pool go that nobody can use any more. reading: one after which nothing could happen in it."""
        with self._lock:
            if pool not in self._pools:  # another collection was faster
                return
            self._pools.remove(pool)
            self._gone.add(reading)
        self._tell_gone(pool)
