"""A pool's state alone, moved step by step at seconds of the test's choosing: every fact it tells, all it counts."""

from types import SimpleNamespace

from poolscope._contract import POOL_UNCLOSED
from poolscope._pool import Pool
from poolscope._reading import read
from poolscope._records import Checkout
from poolscope.events import EVENTS


class Ledger:
    """One pool for one origin, shop:80. `facts` gives what was told since it was last asked."""

    def __init__(self, connections=3, idle=2):
        self.pool = Pool("pool", connections, idle)
        self.told = []
        self.kept = {id(None)}
        for kind in EVENTS:
            self.pool.journal.want(kind, self.told.append)

    def request(self, at, method="GET", port=80, pooled=True):
        return self.pool.request(target(port), method, pooled, at)

    def reserve(self, at, port=80):
        """Take a slot, with a probe that says what the test sets: `probe.idle`, `probe.closed`."""
        connection = self.pool.reserve(b"http", b"shop", port, self.kept, at)
        probe = SimpleNamespace(idle=False, closed=False, armed=0)
        probe.is_idle, probe.is_closed = lambda: probe.idle, lambda: probe.closed
        connection.probe = lambda: probe
        self.kept.add(id(probe))
        return connection

    def open(self, at, protocol="1.1", port=80):
        """Take a slot and open a connection at once, for nobody."""
        connection = self.reserve(at, port)
        self.pool.slots.connecting(connection, None, at)
        self.pool.slots.opened(connection, protocol, at)
        return connection

    def idle(self, at, protocol="1.1", port=80):
        connection = self.open(at, protocol, port)
        self.pool.slots.idled(connection, at)
        connection.probe().idle = True
        return connection

    def hold(self, at, connection=None, method="GET", checkout=None):
        """Let a request take a connection that is there, without a wait."""
        checkout = checkout or self.request(at, method)
        connection = connection or self.open(at)
        self.pool.offer(checkout, connection, at)
        self.pool.write(checkout, connection, at)
        connection.probe().idle = False
        return checkout, connection

    def post(self, at, protocol):
        """Let a request with a body take a connection of this protocol, or one in set-up where that is empty."""
        checkout = self.request(at, "POST")
        if protocol:
            return self.hold(at, self.open(at, protocol), checkout=checkout)[0]
        connection = self.reserve(at)
        self.pool.offer(checkout, connection, at)
        self.pool.connect(checkout, connection, at)
        return checkout

    def guest(self, at, connection, method="GET", port=80, entered=None):
        """Let a plain request take an idle connection: as the observer does, with no step of the state machine."""
        checkout = Checkout(target(port), method, at if entered is None else entered)
        checkout.offered_at, checkout.connection = at, connection
        self.pool.checkouts.add(checkout)
        self.pool.slots.guests[connection] = checkout
        connection.probe().idle = False
        return checkout

    def leave(self, checkout, at, status=200):
        """Let a plain request end, still to be counted."""
        checkout.status, checkout.ended_at = status, at
        self.pool.slots.guests.pop(checkout.connection, None)
        self.pool.ended.append(checkout)

    def facts(self):
        """Give each fact as its name, its second, and what it says beyond the origin."""
        told, self.told[:] = list(self.told), []
        for fact in told:
            whole = type(fact).__name__.startswith("Pool") or getattr(fact, "leak_type", "") == POOL_UNCLOSED
            assert (fact.pool, fact.address, bool(fact.port)) == ("pool", "" if whole else "shop", not whole)
        return [(type(fact).__name__, fact.at, *(getattr(fact, name) for name in names(fact))) for fact in told]

    def counted(self, at, live=True, pooled=True):
        """Give every number that is not zero and every histogram that is not empty, by the metric's last name parts."""
        seen = read(self.pool, live, pooled, at)
        numbers = {key(point): value for point, value in seen.numbers.items() if value}
        histograms = {key(point): (h.count, h.sum) for point, h in seen.histograms.items() if h.count}
        return {**numbers, **histograms}


def names(fact):
    return [name for kind in type(fact).__mro__[:-2] for name in kind.__annotations__]


def target(port=80):
    return SimpleNamespace(raw_scheme=b"http", raw_host=b"shop", port=port)


def key(point):
    metric, labels = point
    rest = tuple(label for label in labels if label not in ("pool", "shop", "80"))
    return (metric.name.removeprefix("http.client.").removeprefix("connection."), *rest)


def finish(made):
    """Give the result of a call of either colour: nothing here suspends."""
    if not hasattr(made, "__await__"):
        return made
    try:
        made.send(None)
    except StopIteration as over:
        return over.value
    raise AssertionError
