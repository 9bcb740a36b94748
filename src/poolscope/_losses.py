"""What a pool has lost: leaks that were proved, and slots that belong to no request any more.

1. A leak counts once. A slot counts as orphaned while it is so, and only where nobody can own it: no request has its
   connection, none that waits can have been given it, the pool still has it, it is neither idle nor closed, it speaks
   HTTP, and nobody ever came to it past the instrumentation.
2. Nothing here costs a request: all is looked at when somebody looks, under the pool's lock.

A slot whose response was collected unclosed is a leak (*abandoned*), not an orphan: the fault is the program's.
"""

from collections.abc import Callable, Collection, Iterator

from poolscope import _contract as c
from poolscope import events as e
from poolscope._journal import Journal
from poolscope._phases import phase_of
from poolscope._records import Checkout, Connection
from poolscope._slots import Slots
from poolscope._tally import OriginTally
from poolscope._transitions import ACTIVE, HOLDING, IDLE

_SURE_SECONDS = 0.25
"""How long a slot must have been as it is. A request that came to the pool past us is unknown until it connects."""


class Losses:
    """The losses of one pool.

    leaks: proved so far, by type. held_too_long_seconds: a hold of this length is a leak, None where none is.
    abandoned: connections on which a response was collected unclosed, with its request.
    lost: slots that nobody owns, as of the last look; those that are not abandoned are orphaned.
    kept: gives the ids of the connections that the pool has, None where that cannot be seen.
    """

    def __init__(self, journal: Journal, whole: OriginTally, slots: Slots) -> None:
        self.leaks = dict.fromkeys(c.LEAKS, 0)
        self.held_too_long_seconds: float | None = None
        self.abandoned: dict[Connection, Checkout] = {}
        self.lost: set[Connection] = set()
        self.kept: Callable[[], set[int] | None] = lambda: None
        self._journal = journal
        self._whole = whole
        self._slots = slots
        self._overdue: set[Checkout] = set()

    def look(self, checkouts: Collection[Checkout], now: float) -> None:
        """Bring everything up to date."""
        self._look_at_holds(checkouts, now)
        for connection in [one for one in self.abandoned if not one.occupied]:
            del self.abandoned[connection]
        before = self.orphaned
        kept = self.kept()
        if kept is not None:
            self._slots.forget(kept, now)
        self.lost = set() if kept is None else set(self._lost(checkouts, kept, now))
        for connection in before - self.lost:
            if self._journal.wanted[e.SlotRecovered]:
                self._journal.post(e.SlotRecovered, connection.tally, now, connection.id)
        for connection in self.orphaned - before:
            if self._journal.wanted[e.SlotOrphaned]:
                was = c.ACTIVE if connection.state == ACTIVE else c.CONNECTING
                self._journal.post(e.SlotOrphaned, connection.tally, now, connection.id, was)

    @property
    def orphaned(self) -> set[Connection]:
        """The slots that the pool lost."""
        return self.lost - self.abandoned.keys()

    def _lost(self, checkouts: Collection[Checkout], kept: set[int], now: float) -> Iterator[Connection]:
        """Give the slots that nobody owns."""
        owned = {checkout.connection for checkout in checkouts if not checkout.ended}
        for connection in self._slots.taken.values():
            if not connection.occupied or connection in owned or connection.stranger or connection.upgraded:
                continue
            proxy = connection.probe()
            if proxy is None or id(proxy) not in kept or proxy.is_idle() or proxy.is_closed():
                continue
            since = max(connection.busy_at, connection.connecting_at)
            if connection.state == ACTIVE or (now - since >= _SURE_SECONDS and not _has_heir(connection, checkouts)):
                yield connection

    def _look_at_holds(self, checkouts: Collection[Checkout], now: float) -> None:
        for checkout in [one for one in self._overdue if one.ended]:
            self._overdue.discard(checkout)
            if self._journal.wanted[e.GivenBack]:
                until = now if checkout.ended_at is None else checkout.ended_at
                facts = (until - checkout.offered_at, checkout.phase, checkout)
                self._journal.post(e.GivenBack, checkout.tally or self._whole, now, *facts)
        limit = self.held_too_long_seconds
        if limit is None:
            return
        for checkout in checkouts:
            connection = checkout.connection
            if connection is None or checkout.state != HOLDING or checkout in self._overdue or connection.upgraded:
                continue
            if now - checkout.offered_at >= limit:
                self._overdue.add(checkout)
                self._leaked(c.HELD_TOO_LONG, checkout, connection, now)

    def unseen(self) -> int:
        """Give how many connections the pool has that are older than the instrumentation."""
        kept = self.kept() or set()
        return len(kept - {id(one.probe()) for one in self._slots.taken.values()})

    def dropped(self, checkout: Checkout, now: float) -> None:
        """Take in that a request's response was collected unclosed. No leak where its connection is closed anyway."""
        connection = checkout.connection
        self._overdue.discard(checkout)
        if checkout.ended or connection is None or connection.upgraded or connection.closing or not connection.in_pool:
            return
        self.abandoned[connection] = checkout
        self._leaked(c.RESPONSE_UNCLOSED, checkout, connection, now)

    def still_open(self) -> int:
        """Give how many connections are open and the pool's. It may be asked without the lock, by a finalizer."""
        return sum(one.in_pool and one.state in (ACTIVE, IDLE) for one in list(self._slots.taken.values()))

    def collected(self, connections: int, now: float) -> None:
        """Take in that the whole pool was collected with that many open connections."""
        self.leaks[c.POOL_UNCLOSED] += 1
        if self._journal.wanted[e.Leaked]:
            self._journal.post(e.Leaked, self._whole, now, c.POOL_UNCLOSED, connections)

    def _leaked(self, kind: str, checkout: Checkout, connection: Connection, now: float) -> None:
        self.leaks[kind] += 1
        if self._journal.wanted[e.Leaked]:
            phase = phase_of(checkout.phase, checkout.method, connection.state, connection.protocol)
            facts = (kind, 1, now - checkout.offered_at, phase, checkout)
            self._journal.post(e.Leaked, connection.tally, now, *facts)


def _has_heir(connection: Connection, checkouts: Collection[Checkout]) -> bool:
    """Whether a request that waits may have been given the slot: it came before the slot was taken, for its origin."""
    return any(
        checkout.connection is None
        and not checkout.ended
        and checkout.entered_at <= connection.busy_at
        and checkout.tally in (None, connection.tally)
        for checkout in checkouts
    )
