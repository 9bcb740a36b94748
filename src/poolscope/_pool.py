"""The state of one pool: its requests, its connections, and what has been counted. No I/O, no clock, no lock.

Every method is called with the pool's lock held and the current monotonic second `now`. Plain requests (`_plain`) are
taken in by `engage`, or counted by `fold` when they ended; until then only `checkouts` knows them.
"""

from poolscope import _contract as c
from poolscope import events as e
from poolscope._journal import Journal
from poolscope._losses import Losses
from poolscope._plain import count
from poolscope._records import Checkout, Connection, Target
from poolscope._seen import Seen
from poolscope._steps import Steps
from poolscope._tally import OriginTally
from poolscope._transitions import DONE


class Pool(Steps):
    """One pool. max_connections, max_idle: None where unlimited. ended: plain requests that are still to be counted."""

    def __init__(self, name: str, max_connections: int | None, max_idle: int | None) -> None:
        self.name = name
        self.max = c.UNLIMITED if max_connections is None else float(max_connections)
        self.idle_max = c.UNLIMITED if max_idle is None else float(max_idle)
        super().__init__(Journal(name), self.max)
        self.seen = Seen()
        self.losses = Losses(self.journal, self.tallies.whole, self.slots)
        self.live = True
        self.opened = 1
        self.ended: list[Checkout] = []

    def reserve(self, scheme: bytes, host: bytes, port: int | None, kept: set[int], now: float) -> Connection:
        """Take a slot for a connection to this origin. kept: the ids of the connections that the pool still has."""
        if not self.live:
            self.open(now)
        self.slots.keep(kept, now)
        return self.slots.reserve(self.tallies.of(scheme, host, port), now)

    def open(self, now: float) -> None:
        """Count the pool as live: it was made, or is used again after it was closed."""
        self.live = True
        if self.journal.wanted[e.PoolOpened]:
            self.journal.post(e.PoolOpened, self.tallies.whole, now, self.max, self.idle_max)

    def close(self, now: float) -> None:
        """Count the pool as closed."""
        self.live = False
        self.seen.loop = None
        self.slots.forget(self.losses.kept() or set(), now)
        if self.journal.wanted[e.PoolClosed]:
            self.journal.post(e.PoolClosed, self.tallies.whole, now)

    def request(self, target: Target, method: str, pooled: bool, now: float) -> Checkout:
        """Count a request that comes in. pooled: False where the transport has no pool to wait for."""
        checkout = Checkout(target, method, now)
        checkout.plain = False
        if not pooled:
            checkout.state = DONE
            if not self.live:
                self.open(now)
        self.checkouts.add(checkout)
        self.admit(checkout, pooled)
        return checkout

    def repeat(self, checkout: Checkout, waited_seconds: float, now: float) -> None:
        """Begin its wait anew. It had a connection and comes again, because whoever wraps the pool sends it again.

        waited_seconds: since when it has been there again, where that is known.
        """
        connection = checkout.connection
        self.engage(checkout, True)
        self.withdraw(checkout, now)
        if checkout.entered_at == now:
            checkout.entered_at = max(checkout.offered_at, now - waited_seconds)
        if connection is not None and connection.says_idle():
            self.slots.idled(connection, now)

    def answered(self, checkout: Checkout, carried: bool, now: float) -> None:
        """Take a response that came over no connection we know. carried: over one older than the instrumentation.

        Else it may come from a cache; where nobody has seen it wait, it was never at the pool.
        """
        if carried or checkout.tally is not None:
            self.adopt(checkout, now)
            return
        checkout.plain = False
        checkout.state = DONE
        self.admit(checkout, pooled=False)

    def runs(self, checkout: Checkout | None) -> bool:
        """Whether this is a request of the pool's that is under way. It may be asked without the lock."""
        return checkout is not None and checkout.ended_at is None and checkout in self.checkouts

    def counted(self) -> list[tuple[Checkout, OriginTally]]:
        """Give the requests under way and where each counts, without those that came in since the pool was settled."""
        return [(checkout, checkout.tally) for checkout in self.checkouts.copy() if checkout.tally is not None]

    def settle(self, now: float) -> None:
        """Bring everything that is counted up to now."""
        self.fold(now)
        for checkout in self.checkouts.copy():
            if checkout.plain and checkout.ended_at is None:
                self.engage(checkout)

    def fold(self, now: float) -> None:
        """Count the plain requests that ended."""
        many = len(self.ended)
        ended = self.ended[:many]
        del self.ended[:many]  # others may append meanwhile
        self.checkouts.difference_update(ended)
        plain = [checkout for checkout in ended if checkout.plain]
        count(self.slots, plain)
        for post in self.journal.wanted.get(Checkout, ()):
            for checkout in plain:
                post(checkout)
        for checkout in ended:
            if not checkout.plain:  # it was engaged while it ended
                self.end(checkout, True, False, checkout.ended_at or now)
