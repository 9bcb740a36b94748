"""The steps of a request through the pool: waits, is offered a connection, holds it, gives it back.

1. Every start has exactly one end: METRICS' equations hold between any two steps.
2. An illegal step changes nothing and raises nothing (`_transitions` is the one table).

Every step is called with the pool's lock held and the current monotonic second `now`. A step that meets a plain request
(`_plain`) first takes it in, by `engage`.
"""

from poolscope import _contract as c
from poolscope import events as e
from poolscope._journal import Journal
from poolscope._plain import method_label, request_kind, serves
from poolscope._records import Checkout, Connection
from poolscope._slots import Slots
from poolscope._tallies import Tallies
from poolscope._tally import OriginTally
from poolscope._transitions import CHECKOUT, DONE, HOLDING, IDLE, OFFERED, WAITING, move, on

_OFFERED, _COMMITTED, _RELEASED = (on(CHECKOUT, event) for event in ("offered", "committed", "released"))


class Steps:
    """Moves the requests of one pool. checkouts: those that are under way."""

    def __init__(self, journal: Journal, limit: float) -> None:
        self.journal = journal
        self.tallies = Tallies()
        self.slots = Slots(journal, limit, self.engage)
        self.checkouts: set[Checkout] = set()

    def admit(self, checkout: Checkout, pooled: bool = True) -> OriginTally:
        """Count a request that comes in, unless that is done; give its origin's numbers."""
        tally = checkout.tally
        if tally is None:
            target, at = checkout.target, checkout.started_at
            tally = checkout.tally = self.tallies.of(target.raw_scheme, target.raw_host, target.port)
            checkout.method = method_label(checkout.method)
            if self.journal.wanted[e.RequestStarted]:
                self.journal.post(e.RequestStarted, tally, at, checkout.method)
            if pooled:
                tally.checkouts += 1
                if self.journal.wanted[e.CheckoutStarted]:
                    self.journal.post(e.CheckoutStarted, tally, at)
        return tally

    def engage(self, checkout: Checkout, accepted: bool = False) -> None:
        """Take a plain request into the state machine, as far as it has come. One that waits may still go plain.

        With it goes whoever else was handed its connection. accepted: the connection is known to serve this one.
        """
        if not checkout.plain:
            return
        self.admit(checkout)
        connection = checkout.connection
        if connection is None:
            return
        guest = self.slots.guests.pop(connection, checkout)
        first = checkout if accepted else guest
        others = {checkout, guest, *connection.rivals} - {first}
        connection.rivals.clear()
        connection.plain = False
        connection.engaged = first
        for one in (first, *others):
            self.admit(one)
            one.plain = False
            self._offer(one, connection, one.offered_at)
            if (accepted and one is first) or serves(one, connection):
                self.commit(one, c.REUSED, one.offered_at)
        if connection.offered:
            connection.arm()

    def offer(self, checkout: Checkout, connection: Connection, now: float) -> None:
        """Hand a connection over, provisionally."""
        self._take_in(checkout)
        guest = self.slots.guests.get(connection)
        if guest is not None:
            self.engage(guest)
        connection.alias = connection.alias or self.admit(checkout) is not connection.tally
        self._offer(checkout, connection, now)

    def _take_in(self, checkout: Checkout) -> None:
        if checkout.plain:
            self.engage(checkout)
            checkout.plain = False

    def _offer(self, checkout: Checkout, connection: Connection, now: float) -> None:
        state = _OFFERED.get(checkout.state)
        if state is None:
            return
        checkout.state = state
        checkout.offered_at = now
        checkout.connection = connection
        checkout.joined = connection.holders > 0
        connection.offered += 1

    def withdraw(self, checkout: Checkout, now: float) -> None:
        """Take back a connection that was not available after all: the wait goes on, or begins anew."""
        if checkout.plain:
            self._refuse(checkout, now)
            return
        connection = checkout.connection
        late = checkout.state == HOLDING
        if connection is None or not move(checkout, CHECKOUT, "withdrawn"):
            return
        tally = self.admit(checkout)
        stage = c.LATE if late else c.EARLY
        tally.requeues[stage] += 1
        if late:
            checkout.entered_at = now
            connection.holders -= 1
        else:
            connection.offered -= 1
        checkout.connection = None
        checkout.streaming = False
        checkout.queued = True
        if connection.socket_closed_at is not None:
            self.slots.closed(connection, c.RESPONSE_UNREAD if connection.unread else c.CONNECTION_CLOSE, now)
        if self.journal.wanted[e.Requeued]:
            self.journal.post(e.Requeued, tally, now, stage, connection.id)

    def _refuse(self, checkout: Checkout, now: float) -> None:
        connection, checkout.connection = checkout.connection, None
        checkout.queued = True
        if connection is not None:
            self.slots.left(checkout, connection)
            tally = self.admit(checkout)
            tally.requeues[c.EARLY] += 1
            if self.journal.wanted[e.Requeued]:
                self.journal.post(e.Requeued, tally, now, c.EARLY, connection.id)

    def commit(self, checkout: Checkout, source: str, now: float) -> None:
        """Make the hand-over final."""
        connection = checkout.connection
        state = _COMMITTED.get(checkout.state)
        if connection is None or state is None:
            return
        checkout.state = state
        tally = self.admit(checkout)
        wait = checkout.offered_at - checkout.entered_at
        tally.acquisitions[source] += 1
        tally.wait_time.observe(wait)
        if checkout.trace is not None:
            self.note(checkout, source)
            tally.wait_time.exemplify(wait, checkout.trace, now)
        connection.offered -= 1
        connection.holders += 1
        connection.requests += 1
        if connection.state == IDLE:
            self.slots.used(connection, now)
        if self.journal.wanted[e.Acquired]:
            self.journal.post(e.Acquired, tally, now, source, wait, connection.id, checkout.trace)

    def note(self, checkout: Checkout, source: str) -> None:
        """Note for a request's trace how it came to its connection. It takes no lock: a trace is its request's own."""
        checkout.source = source
        full = source != c.NEW and self.slots.busy >= self.slots.limit
        checkout.queued = checkout.queued or full or self.slots.full_at >= checkout.entered_at

    def connect(self, checkout: Checkout | None, connection: Connection, now: float) -> None:
        """Begin to set the connection up; where that is for a request, its hand-over is final."""
        if checkout is not None and checkout.connection is connection:
            self.commit(checkout, c.NEW, now)
        self.slots.connecting(connection, checkout, now)

    def write(self, checkout: Checkout, connection: Connection, now: float) -> None:
        """Note that the request's first bytes go out: the hand-over is final, and HTTP/2 has given it a stream."""
        if checkout.connection is not connection:
            return
        self.engage(checkout, True)
        if checkout.state == OFFERED:
            checkout.joined = connection.protocol == "2" and (checkout.joined or connection.holders > 0)
            self.commit(checkout, c.SHARED if checkout.joined else c.REUSED, now)
        if connection.protocol != "2" or checkout.streaming or checkout.state != HOLDING:
            return
        checkout.streaming = True
        wait = now - max(checkout.offered_at, connection.opened_at)
        tally = self.admit(checkout)
        tally.stream_wait_time.observe(wait)
        if self.journal.wanted[e.StreamWaited]:
            self.journal.post(e.StreamWaited, tally, now, wait, connection.id)

    def adopt(self, checkout: Checkout, now: float) -> None:
        """Count a response that came over a connection older than the instrumentation: reused, without a wait."""
        self._take_in(checkout)
        if checkout.state == WAITING:
            checkout.entered_at = checkout.started_at
            self._offer(checkout, Connection(self.admit(checkout), now), checkout.started_at)
        self.commit(checkout, c.REUSED, now)

    def end(self, checkout: Checkout, idle: bool, timed_out: bool, now: float) -> None:
        """End a request, whatever state it is in. idle: its connection says that it is idle now."""
        if checkout.ended:
            return
        self._take_in(checkout)
        checkout.ended = True
        checkout.ended_at = now
        tally = self.admit(checkout)
        if checkout.state == HOLDING:
            self._release(checkout, tally, idle, now)
        elif checkout.state != DONE:
            self._give_up(checkout, tally, timed_out, now)
        self.checkouts.discard(checkout)
        seconds = now - checkout.started_at
        kind, durations = tally.request(request_kind(checkout))
        durations.observe(seconds)
        if self.journal.wanted[e.RequestEnded]:
            self.journal.post(e.RequestEnded, tally, now, *kind, seconds, checkout.measured_elsewhere)

    def _release(self, checkout: Checkout, tally: OriginTally, idle: bool, now: float) -> None:
        connection = checkout.connection
        state = _RELEASED.get(checkout.state)
        if connection is None or state is None:
            return
        checkout.state = state
        use = now - checkout.offered_at
        tally.use_time.observe(use)
        connection.holders -= 1
        if connection.socket_closed_at is not None:
            self.slots.closed(connection, _why_closed(checkout, connection), now)
        elif idle:
            self.slots.idled(connection, now)
        if self.journal.wanted[e.Released]:
            self.journal.post(e.Released, tally, now, use, connection.id)

    def _give_up(self, checkout: Checkout, tally: OriginTally, timed_out: bool, now: float) -> None:
        if checkout.connection is not None:
            checkout.connection.offered -= 1
        move(checkout, CHECKOUT, "timed_out" if timed_out else "abandoned")
        wait = now - checkout.entered_at
        tally.wait_time.observe(wait)
        if checkout.trace is not None:
            tally.wait_time.exemplify(wait, checkout.trace, now)
        if timed_out:
            tally.timeouts[checkout.cause] += 1
            if self.journal.wanted[e.TimedOut]:
                self.journal.post(e.TimedOut, tally, now, wait, checkout.cause, checkout.trace)
        else:
            error_type = tally.abandon(checkout.error)
            if self.journal.wanted[e.Abandoned]:
                self.journal.post(e.Abandoned, tally, now, wait, error_type, checkout.trace)


def _why_closed(checkout: Checkout, connection: Connection) -> str:
    """Give the reason of a socket's close that the request which held it brought about."""
    if checkout.error:
        return c.CANCELLED if checkout.cancelled else c.FAILED
    unread = not checkout.read if connection.unread is None else connection.unread
    return c.RESPONSE_UNREAD if unread else c.CONNECTION_CLOSE
