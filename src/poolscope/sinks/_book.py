"""The pools that a sink knows, and the sum of those that are gone.

A pool that was collected keeps counting in what it counted: counters never go back, and memory does not grow with the
number of pools that were ever made.
"""

from collections.abc import Callable

from poolscope._locks import new_reentrant_lock
from poolscope._reading import Reading
from poolscope._subscription import ObservedPool

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
        self._lock = new_reentrant_lock()  # reading a pool may deliver its last events, to a sink that reads, too

    def add(self, pool: ObservedPool) -> None:
        """Know a pool from now on. A second time changes nothing."""
        with self._lock:
            if pool in self._pools:
                return
            self._pools.append(pool)
            if len(self._pools) > self._sweep_at:  # a client per request, and nobody who reads
                for other in list(self._pools):
                    self._read(other)
                self._sweep_at = max(_SWEEP_AT, 2 * len(self._pools))

    @property
    def pools(self) -> list[ObservedPool]:
        """The pools that are not gone."""
        with self._lock:
            return list(self._pools)

    def read(self) -> Reading:
        """Give everything counted, each pool as it was at one moment."""
        with self._lock:
            total = Reading()
            total.add(self._gone)
            for pool in list(self._pools):
                total.add(self._read(pool))
            return total

    def _read(self, pool: ObservedPool) -> Reading:
        owned = pool.owned
        reading = pool.read(self._cut(pool))
        if not owned and pool.at_rest:
            self._pools.remove(pool)
            self._gone.add(reading)
            self._tell_gone(pool)
        return reading
