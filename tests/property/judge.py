"""What must hold of a pool whenever nothing runs: METRICS' equations, the callers' own count, the pool's own word."""

import logging
from collections import Counter

from observing import Exposition, imbalances
from poolscope import _contract as c


class Collected(Exposition):
    """What a scrape of a registry would say, without its text."""

    def __init__(self, registry):
        self.samples = [sample for family in registry.collect() for sample in family.samples]


class Faults(logging.Handler):
    """What the library says of its own faults, and of sinks that failed."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.said = []

    def emit(self, record):
        self.said.append(self.format(record))

    def __enter__(self):
        logging.getLogger("poolscope").addHandler(self)
        return self

    def __exit__(self, *exc_info):
        logging.getLogger("poolscope").removeHandler(self)


class Judge:
    """Judges what is exposed after each step. Counters may not go back between two.

    exact: the pool knows all its connections. It does not when it was closed while requests ran.

    It is wrong of HTTP/2: where of two requests that wait for one connection the second is cancelled, it gives up what
    the first goes on with; and where all streams were taken, a connection says that it is idle when the last of them
    ends, and goes on with the requests that had waited for one.
    """

    def __init__(self, registry, network, transport):
        self.registry = registry
        self.network = network
        self.transport = transport
        self.exact = True
        self._never_shared = {"port": "80"} if network.http2 else {}
        self._before = {}

    def wrong(self, *, started, unfinished, answered, timeouts, broken):
        """Give what is wrong.

        started, unfinished: requests of the callers so far, and those without an end; answered: those with a response;
        timeouts: PoolTimeouts. broken: responses that failed while they were read, and are not closed yet: the pool has
        their connections back.
        """
        seen = Collected(self.registry)
        pairs = {
            "checkouts": (seen(c.CHECKOUTS), started),
            "pending + checked_out": (seen(c.PENDING) + seen(c.CHECKED_OUT), unfinished),
            "active requests": (seen(c.ACTIVE_REQUESTS), unfinished),
            "timeouts": (seen(c.TIMEOUTS), timeouts),
            "who has an answer has not given up": (seen(c.ABANDONED) <= started - answered - timeouts, True),
            "who reuses writes": (seen(c.ACQUISITIONS, source=c.REUSED, port="80") <= self.network.repeated, True),
            "who writes has acquired": (seen(c.ACQUISITIONS, port="80") >= self.network.asked, True),
            "ended requests": (seen(c.REQUEST_DURATION, "_count"), started - unfinished),
            "shared over HTTP/1.1": (seen(c.ACQUISITIONS, source=c.SHARED, **self._never_shared), 0),
            "establishing": (seen(c.ESTABLISHING), self.network.connecting),
            "in_use within the limit": (seen(c.IN_USE) <= seen(c.MAX), True),
            **self._sockets(seen, unfinished),
            **self._levels(seen, broken),
        }
        unequal = [f"{name}: {ours} != {theirs}" for name, (ours, theirs) in pairs.items() if ours != theirs]
        return imbalances(seen) + unequal + self._went_back(seen)

    def attempts(self):
        """Give what is wrong with the attempts to connect. It may be asked while requests run, too."""
        ours, theirs = Collected(self.registry)(c.ESTABLISHING), self.network.connecting
        return [] if ours == theirs else [f"establishing: {ours} != {theirs}"]

    def closed(self):
        """Give what is wrong with the slots of a pool that has just been closed."""
        busy = sum(not one.is_idle() for one in self.transport._pool.connections)
        in_use = Collected(self.registry)(c.IN_USE)
        return [] if in_use == busy else [f"in_use of a closed pool: {in_use} != {busy}"]

    def _sockets(self, seen, unfinished):
        """A socket's close is counted when the request that held it says what ended it, and not before."""
        lag = seen(c.OPEN_CONNECTIONS) - self.network.open
        shown = self.transport.snapshot()
        return {
            "open sockets": (0 <= lag <= unfinished, True),
            "snapshot's open": (shown.active + shown.idle, seen(c.OPEN_CONNECTIONS)),
        }

    def _levels(self, seen, broken):
        """What the metrics and the snapshot say of the pool, and what it says itself."""
        pool = self.transport._pool
        kept = [one for one in pool.connections if not one.is_closed()]
        busy = sum(not one.is_idle() for one in kept)
        idle = sum(one.is_idle() and "HTTP/1.1" in one.info() for one in kept)
        shown, in_use = self.transport.snapshot(), seen(c.IN_USE)
        said_idle = seen(c.OPEN_CONNECTIONS, state=c.IDLE, version="1.1")
        queued = int(repr(pool).partition(" queued")[0].rpartition(" ")[2])
        levels = {
            "snapshot's in_use": (shown.in_use, in_use),
            "at least as many wait as the pool has in its queue": (seen(c.PENDING) >= queued, True),
        }
        most = busy + broken
        if self.network.http2 or not self.exact:
            most += self.network.open + self.network.connecting
        levels["in_use as the pool has it"] = (busy <= in_use <= most, True)
        if self.exact and not any(gate.what == "close" for gate in self.network.gates):
            levels["idle"] = (said_idle, idle)  # while its socket closes, one is none of the pool's any more
        else:
            levels["idle, about"] = (said_idle >= idle, True)
        return levels

    def _went_back(self, seen):
        now = Counter()
        for sample in seen.samples:
            if sample.name.endswith(("_total", "_count", "_bucket")):
                now[sample.name, frozenset(sample.labels.items())] += sample.value
        before, self._before = self._before, now
        return [f"went back: {key} {value} {now[key]}" for key, value in before.items() if now[key] < value - 1e-9]
