"""What watches a pool: what the seams saw becomes steps of its state, and who asks gets a reading or a picture.

A plain request (`_plain`) is entered, offered its connection and ended here without lock or step.
"""

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, TypeVar
from weakref import ref

from poolscope import _contract as c
from poolscope._gate import Gate
from poolscope._owner import Owner
from poolscope._phases import BODILESS
from poolscope._pool import Pool
from poolscope._reading import Reading, read
from poolscope._records import CURRENT, Checkout, Connection, error_type
from poolscope._snapshot import PoolSnapshot, picture
from poolscope._subscription import Sink, Subscription
from poolscope._tracing import Tracing

logger = logging.getLogger("poolscope")

R = TypeVar("R")


class Observer(Gate):
    """Watches one pool. Nothing here ever raises into a request.

    pool: its state. pooled: False where the transport has no pool that can be seen.
    body: the class that watches the bodies of its responses.
    diagnosis: what explains a PoolTimeout (`poolscope.diagnosis`). at_entry: it is told of each request that enters.
    half_read: whether a connection's response was not read to its end, None where that cannot be told.
    unanswered: whether a request is under way on a connection whose response has not begun.
    owner: gives what its transports hold, None where there is none left.
    outermost: the id of the last transport of ours that came to a pool which had one, 0 where none did.
    """

    def __init__(self, pool: Pool, *, pooled: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(pool, plain=pooled, clock=clock)
        self.pooled = pooled
        self.closing_pool = 0
        self.keepalive_expiry: float | None = None
        self.owner: Callable[[], Owner | None] = lambda: None
        self._guests, self._ended = pool.slots.guests, pool.ended
        self._unclosed = Subscription({Checkout: lambda checkout: self.tell(checkout, "ended")})
        self.body: Any = None
        self.diagnosis: Any = None
        self.at_entry, self.outermost = False, 0
        self.tracing: Tracing | None = None
        self.half_read: Callable[[Connection], bool | None] = lambda _: None
        self.unanswered: Callable[[Connection], bool] = lambda _: False
        self.watch_entrance: Callable[[Observer], object] | None = None

    @property
    def name(self) -> str:
        """The pool's name."""
        return self.pool.name

    def enter(self, request: Any) -> Checkout | None:
        """Take a request of httpx that comes in."""
        if self.plain:
            checkout = Checkout(request.url, request.method, self.clock())
            self.pool.checkouts.add(checkout)
            return checkout
        if self.inside:
            return None  # a step that is taken later gives nobody a request to end
        return self.apply(self.pool.request, request.url, request.method, self.pooled)

    def offer(self, checkout: Checkout | None, connection: Connection) -> Checkout | None:
        """Note that a request is handed a connection, provisionally; give the request, None where none of ours came."""
        if checkout is None or checkout.ended_at is not None or checkout not in self.pool.checkouts:
            connection.stranger = True  # or another observer's came: its client was instrumented anew while it waited
            return None
        first = checkout.connection
        if first is not None:  # whoever wraps the pool sends it once more: a transport that retries
            if self.unanswered(first):  # or that sends it twice at a time: whose end is whose cannot be told
                first.stranger = connection.stranger = True
                return None
            self.apply(self.pool.repeat, checkout, 0.0)
        if checkout.method not in BODILESS:
            connection.arm_read()  # a request with a body: sent when the answer is read
        if checkout.plain and connection.plain:
            checkout.offered_at = self.clock()
            checkout.connection = connection
            if checkout.trace is not None:
                self.pool.note(checkout, c.REUSED)
            if self._guests.setdefault(connection, checkout) is not checkout:
                connection.rivals.append(checkout)  # another came first: most likely this one is refused
                connection.arm()
            return checkout
        self.apply(self.pool.offer, checkout, connection)
        connection.arm()
        return checkout

    def end(self, checkout: Checkout, at: float | None = None, *, timed_out: bool = False) -> None:
        """End a request, unless it ended before.

        at: when its body began to close. The connection is free then, though this one may wait for the pool's lock.
        """
        if checkout.ended_at is not None:
            return
        connection = checkout.connection
        if not checkout.plain or connection is None or checkout.error:
            self._end_step(checkout, at, timed_out)
            return
        checkout.ended_at = at or self.clock()
        if checkout.trace is not None:
            self.pool.slots.left_full(self.clock())
            self.tell(checkout, "ended")
        checkout.chunks = None
        if connection.rivals:
            self.apply(lambda _: self.pool.slots.left(checkout, connection))
        else:
            self._guests.pop(connection, None)
        ended = self._ended
        ended.append(checkout)
        if len(ended) >= self.fold_at:
            self.apply(self.pool.fold)

    def wrote(self, checkout: Checkout | None, connection: Connection) -> None:
        """Note that bytes of a request go out, which makes its hand-over final. A plain one was taken to be so."""
        if checkout is not None and not (checkout.plain and self._guests.get(connection) is checkout):
            self.apply(self.pool.write, checkout, connection)

    def _end_step(self, checkout: Checkout, at: float | None, timed_out: bool) -> None:
        idle = checkout.leaves_idle()
        self.apply(lambda now: self.pool.end(checkout, idle, timed_out, at or now))
        if checkout.trace is not None:
            self.tell(checkout, "ended")

    def engage(self, checkout: Checkout) -> None:
        """Let a request be plain no longer."""
        self.apply(lambda _: self.pool.engage(checkout))

    def drop(self, checkout: Checkout, now: float) -> None:
        """End a request whose body was collected unclosed. Deferred by its finalizer; its trace hears of it later."""
        if checkout.ended_at is None:
            self.pool.losses.dropped(checkout, now)
            self.pool.end(checkout, False, False, now)
        if checkout.trace is not None:
            self._unclosed.queue.append(checkout)

    def opened(self, connection: Connection, protocol: str) -> None:
        """Note that a connection is ready for use."""
        connector = connection.connector
        self.apply(self.pool.slots.opened, connection, protocol)
        self.tell(connector, "opened", connection)

    def failed(self, connection: Connection, exc: BaseException) -> None:
        """Note that an attempt to connect failed, before or in TLS."""
        self.apply(self.pool.slots.failed, connection, error_type(exc))
        self.tell(CURRENT.get(), "connect_failed", error_type(exc))

    def socket_closed(self, connection: Connection, exc: BaseException | None) -> None:
        """Note that a socket is closed. exc: what is being handled there; a plain body is not watched otherwise."""
        with suppress(Exception):  # it asks for what may be called otherwise one day
            connection.unread = self.half_read(connection)
        self.apply(self.pool.slots.socket_closed, connection)
        checkout = connection.engaged
        streaming = checkout is not None and checkout.phase == c.STREAMING and not checkout.closing
        if checkout is None or not streaming or connection.closing:  # what the pool closes, no error of its own ends
            return
        if exc is not None and not isinstance(exc, GeneratorExit):
            checkout.fail(exc)

    def met(self, checkout: Checkout | None, connection: Connection, stream: Any) -> None:
        """Note whom a new socket speaks to, where anything is traced: later it may not be able to say it."""
        if self.tracing is not None:
            with suppress(Exception):
                connection.peer = stream.get_extra_info("server_addr")
            self.tell(checkout, "connected", connection)

    def tell(self, checkout: Checkout | None, what: str, *facts: object) -> None:
        """Tell a request's trace, if it has one. Called by the request's own task or thread, without the lock."""
        try:
            if self.tracing is not None and checkout is not None and checkout.trace is not None:
                getattr(checkout.trace, what)(checkout, *facts)
        except Exception:  # noqa: BLE001 - a request must not pay for it
            self.untrace()

    @property
    def in_use(self) -> int:
        """How many slots no other request can have."""
        return self.pool.slots.busy

    def read(self, then: Callable[[], None] | None = None) -> Reading:
        """Give one consistent copy of everything counted. then: done at the same moment, under the lock."""

        def look(now: float) -> Reading:
            if then is not None:
                then()
            return read(self.pool, self.live, self.pooled, now)

        return self._look(look)

    def snapshot(self) -> PoolSnapshot:
        """Give the typed picture of the pool now."""
        return self._look(lambda now: picture(self.pool, self.keepalive_expiry, now))

    def own(self) -> Owner:
        """Give what a transport holds to keep the pool alive in the sinks' eyes."""
        owner = self.owner()
        if owner is None:
            owner = Owner()
            self.owner = ref(owner)
        return owner

    @property
    def owned(self) -> bool:
        """Whether a transport still holds the pool."""
        return self.owner() is not None

    @property
    def live(self) -> bool:
        """Whether somebody can still use the pool: not closed, and not collected."""
        return self.pool.live and self.owned

    @property
    def over(self) -> bool:
        """Whether nothing is running, nothing is open, and nothing is left to say."""
        return self._look(lambda _: not (self.pool.checkouts or self.pool.slots.taken or self._deferred))

    def subscribe(self, sinks: Iterable[Sink]) -> None:
        """Attach sinks. One that fails here is logged by name and left out."""
        self.attach(sinks, self)

    def trace(self, tracing: Tracing) -> None:
        """Let `tracing` follow every request from now on. A passive one gives way to one that makes spans."""
        if self.tracing is None or (self.tracing.passive and not tracing.passive):
            self.tracing = tracing
            self.deliver_from(self._unclosed)

    def untrace(self) -> None:
        """Trace no more, and log why. Called while the exception is handled."""
        tracing, self.tracing = self.tracing, None
        if tracing is not None:
            message = "poolscope: sink %r failed and is disabled for pool %r"
            logger.error(message, tracing, self.name, exc_info=True)  # noqa: LOG014 - it is called from handlers

    def _look(self, look: Callable[[float], R]) -> R:
        def reconciled(now: float) -> R:
            self.attempt(self.pool.slots.reconcile, now)
            self.attempt(self.pool.losses.look, self.pool.checkouts.copy(), now)
            return look(now)

        # In the midst of a step it sees what there is: a signal's handler may ask for a picture at any moment.
        return look(self.clock()) if self.inside else self.look(reconciled)
