"""The connections of one pool: slots taken, sockets opened, idle, closed; and the integral of the slots in use.

1. A connection that opened closes exactly once: opened = closed + open.
2. An illegal event changes nothing and raises nothing (`_transitions` is the one table).

Every method is called with the pool's lock held and the current monotonic second `now`.
"""

from collections.abc import Callable

from poolscope import _contract as c
from poolscope import events as e
from poolscope._journal import Journal
from poolscope._records import Checkout, Connection
from poolscope._tally import OriginTally
from poolscope._transitions import ACTIVE, CONNECTION, ESTABLISHING, IDLE, RESERVED, move, on

_IDLED = on(CONNECTION, "idled")
_USED = on(CONNECTION, "used")


class Slots:
    """The slots of one pool. in_use: how many no other request can have. busy_seconds: the sum of their ended uses.

    limit: how many there can be. full_at: when one of them was last given back that left none free before.
    guests: the connections that plain requests have, in use though they are idle here, each with its request, the
    first of those that were handed it (`Connection.rivals`).
    engage: takes such a request into the state machine. accepted: its connection is known to serve it.
    """

    def __init__(self, journal: Journal, limit: float, engage: Callable[[Checkout, bool], None]) -> None:
        self.journal = journal
        self.limit = limit
        self.engage = engage
        self.full_at = float("-inf")
        self.in_use = 0
        self.busy_seconds = 0.0
        self.taken: dict[int, Connection] = {}
        self.guests: dict[Connection, Checkout] = {}

    @property
    def busy(self) -> int:
        """How many slots no other request can have, plain requests included."""
        return self.in_use + len(self.guests)

    def busy_until(self, now: float) -> float:
        """Give the integral of in_use up to now, running uses included."""
        return self.busy_seconds + sum(now - one.busy_at for one in self.taken.values() if one.occupied)

    def reserve(self, tally: OriginTally, now: float) -> Connection:
        """Take a slot."""
        connection = Connection(tally, now)
        self.taken[connection.id] = connection
        self.in_use += 1
        return connection

    def left_full(self, now: float) -> None:
        """Note that a slot is about to be given back, where none is free."""
        if self.busy >= self.limit:
            self.full_at = now

    def left(self, checkout: Checkout, connection: Connection) -> None:
        """Let a plain request go from its connection. Of those that were handed it, too, the next may have it now."""
        if checkout in connection.rivals:
            connection.rivals.remove(checkout)
        elif self.guests.get(connection) is checkout:
            del self.guests[connection]
            if connection.rivals:
                self.guests[connection] = connection.rivals.pop(0)

    def _vacate(self, connection: Connection, now: float) -> None:
        self.left_full(now)
        self.in_use -= 1
        self.busy_seconds += max(0.0, now - connection.busy_at)  # a plain request may have come since this step began

    def keep(self, kept: set[int], now: float) -> None:
        """Free the slots of connections that the pool has given up, though it has not closed them yet.

        It gives a connection up, and its slot away, inside the close of the response that used it, before we hear
        that the response is closed: without this, in_use would exceed the limit for that moment.
        """
        for connection in self.taken.values():
            if connection.in_pool and id(connection.probe()) not in kept:
                self.detached(connection, now)

    def forget(self, kept: set[int], now: float) -> None:
        """Keep no connection's object that the pool has given up unclosed: without us, nobody would have it then."""
        for connection in list(self.taken.values()):
            if connection.kept is not None and id(connection.kept) not in kept:
                self.detached(connection, now)

    def release(self) -> None:
        """Keep none of the pool's objects, because the pool is collected. Called by its finalizer, without the lock."""
        for connection in list(self.taken.values()):
            connection.kept = None

    def reconcile(self, now: float) -> None:
        """Ask the pool's own objects about connections that are in use: the pool's word is the last one.

        One that is closed is none of the pool's, though its socket may still close. It says so, too, where a request
        gave up that waited while another connects: httpcore takes that for a failure and lets the connection go.
        """
        for connection in list(self.taken.values()):
            proxy = connection.probe()
            if connection.state == IDLE or proxy is None:
                continue
            unused = not connection.holders and not connection.offered
            if proxy.is_closed():
                unseen = connection.streamless and connection.state == ACTIVE  # nothing else will tell of it
                over = unseen or (unused and connection.state == RESERVED)
                (self.gone if over else self.detached)(connection, now)
            elif unused and connection.state == ACTIVE and proxy.is_idle():
                self.idled(connection, now)

    def connecting(self, connection: Connection, checkout: Checkout | None, now: float) -> None:
        """Begin an attempt to connect, for this request."""
        if not move(connection, CONNECTION, "connecting"):
            return
        connection.connecting_at = now
        connection.connector = checkout
        connection.socket_closed_at = None
        if self.journal.wanted[e.ConnectStarted]:
            self.journal.post(e.ConnectStarted, connection.tally, now, connection.id)

    def failed(self, connection: Connection, error_type: str, now: float) -> None:
        """End an attempt to connect that failed; the slot is still taken."""
        if not move(connection, CONNECTION, "failed"):
            return
        tally = connection.tally
        seconds = now - connection.connecting_at
        connection.connector = None
        error_type = tally.created(seconds, error_type)
        if self.journal.wanted[e.ConnectFailed]:
            self.journal.post(e.ConnectFailed, tally, now, connection.id, seconds, error_type)

    def opened(self, connection: Connection, protocol: str, now: float) -> None:
        """Make the connection ready for use."""
        if not move(connection, CONNECTION, "opened"):
            return
        tally = connection.tally
        seconds = now - connection.connecting_at
        connection.opened_at = now
        connection.protocol = protocol
        connection.connector = None
        tally.opened += 1
        tally.created(seconds, "")
        tally.protocols.add(protocol)
        if self.journal.wanted[e.ConnectionOpened]:
            self.journal.post(e.ConnectionOpened, tally, now, connection.id, seconds, protocol)

    def idled(self, connection: Connection, now: float) -> None:
        """Make the connection idle, unless somebody else holds it already."""
        state = _IDLED.get(connection.state)
        if state is None or connection.holders:
            return
        connection.state = state
        connection.idle_at = now
        free = connection.in_pool and not connection.offered
        connection.plain = free and connection.protocol == "1.1" and not connection.alias
        connection.engaged = None
        connection.kept = connection.probe() if connection.own and connection.plain else None
        self.guests.pop(connection, None)
        if connection.in_pool:
            self._vacate(connection, now)
        if self.journal.wanted[e.ConnectionIdled]:
            self.journal.post(e.ConnectionIdled, connection.tally, now, connection.id, connection.protocol)

    def used(self, connection: Connection, now: float) -> None:
        """Make an idle connection active."""
        state = _USED.get(connection.state)
        if state is None:
            return
        connection.state = state
        connection.plain = False
        connection.kept = None
        if connection.in_pool:
            self.in_use += 1
            connection.busy_at = now
        if self.journal.wanted[e.ConnectionReused]:
            idle = now - connection.idle_at
            self.journal.post(e.ConnectionReused, connection.tally, now, connection.id, connection.protocol, idle)

    def closed(self, connection: Connection, reason: str, now: float) -> None:
        """End an open connection."""
        was_active = connection.state != IDLE
        if (connection.state, "closed") not in CONNECTION:
            return
        self.detached(connection, now)
        move(connection, CONNECTION, "closed")
        self.taken.pop(connection.id, None)
        tally, protocol = connection.tally, connection.protocol
        closed_at = now if connection.socket_closed_at is None else connection.socket_closed_at
        seconds = closed_at - connection.opened_at
        tally.closed[reason] += 1
        tally.lived(seconds, protocol)
        if self.journal.wanted[e.ConnectionClosed]:
            facts = (connection.id, reason, seconds, protocol, was_active, connection.requests)
            self.journal.post(e.ConnectionClosed, tally, now, *facts)

    def socket_closed(self, connection: Connection, now: float) -> None:
        """Note that the socket is closed. The reason may only be known when the request that holds it ends."""
        guest = self.guests.get(connection)
        if guest is not None:
            self.engage(guest, not connection.closing)
        if connection.socket_closed_at is None:
            connection.socket_closed_at = now
        if connection.upgraded:
            self.closed(connection, c.UPGRADED, now)
        elif connection.closing:
            self.closed(connection, connection.closing, now)
        elif not connection.holders:
            self.closed(connection, c.FAILED, now)

    def dropped(self, connection: Connection, now: float) -> None:
        """Note that the stream was collected. Where its socket was closed before, what came to its end is known."""
        known = None if connection.socket_closed_at is None else connection.unread
        reason = c.DROPPED if known is None else (c.RESPONSE_UNREAD if known else c.CONNECTION_CLOSE)
        self.closed(connection, reason, now)

    def broke(self, connection: Connection, checkout: Checkout, error_type: str, reason: str, now: float) -> None:
        """Note that a request failed on the connection before it had a response."""
        if connection.connector is checkout:
            self.failed(connection, error_type, now)
        if connection.socket_closed_at is not None:
            self.closed(connection, reason, now)

    def detached(self, connection: Connection, now: float) -> None:
        """Note that the pool gave the connection up: its slot is free, whatever becomes of its socket."""
        guest = self.guests.pop(connection, None)
        if guest is not None:
            self.engage(guest, False)
        connection.plain = False
        if connection.occupied:
            self._vacate(connection, now)
        connection.in_pool = False
        connection.kept = None

    def gone(self, connection: Connection, now: float) -> None:
        """Note that the pool's object for the connection was collected."""
        if connection.streamless:
            self.closed(connection, c.DROPPED, now)
        if connection.state == ESTABLISHING:
            self.failed(connection, c.DROPPED, now)
        self.detached(connection, now)
        if move(connection, CONNECTION, "freed"):
            self.taken.pop(connection.id, None)
            if self.journal.wanted[e.SlotFreed]:
                self.journal.post(e.SlotFreed, connection.tally, now, connection.id)
