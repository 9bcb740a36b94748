"""The one lock of a pool, its clock, and the isolation of its sinks.

The lock is a leaf: nothing is called under it but the state machine and an append. Facts are delivered after it is
released. A finalizer may run anywhere, under the lock too, so finalizers only append to a queue (`defer`), and a step
that comes in the midst of another in the same thread is taken later: somebody's own finalizer may close a client. It
may run under a sink's lock, too: what is told in the midst of a garbage collection is delivered later.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from poolscope import events as e
from poolscope._locks import collecting, is_mine, new_lock
from poolscope._pool import Pool
from poolscope._records import Checkout
from poolscope._subscription import ObservedPool, Sink, Subscription

logger = logging.getLogger("poolscope")

R = TypeVar("R")

_FOLD_AT = 256
"""Plain requests that end before they are counted: it takes a fraction of a millisecond then."""
_FOLD_AT_FOR_A_SINK = 16
"""The same where a sink has to record each of them, which costs it far more."""
_OF_A_REQUEST = frozenset(
    {e.RequestStarted, e.CheckoutStarted, e.Acquired, e.Released, e.ConnectionIdled, e.ConnectionReused, e.RequestEnded}
)
"""What a plain request does not tell. A sink that asks for one of these, and not for whole ones, hears each step."""


class Gate:
    """What every step passes. Nothing here ever raises into a request.

    plain: whether requests may go plain (`_plain`): every sink is content to hear of those when they are over.
    fold_at: how many of these may end before they are counted. clock: monotonic seconds.
    """

    def __init__(self, pool: Pool, *, plain: bool, clock: Callable[[], float]) -> None:
        self.pool = pool
        self.plain = plain
        self.clock = clock
        self.fold_at = _FOLD_AT
        self._lock = new_lock()
        self._deferred: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self._subscriptions: tuple[Subscription, ...] = ()
        self._faulted = False
        self._failed: Exception | None = None

    def apply(self, step: Callable[..., R], *args: object) -> R | None:
        """Take one step of the state machine, then tell the sinks. None where the step failed: that is our fault.

        None, too, and the step is taken later, where this thread is in the midst of one.
        """
        if self.inside:
            self.defer(step, *args)
            return None
        try:
            with self._lock:
                now = self.clock()
                if self._deferred:
                    self._settle(now)
                result = step(*args, now)
        except Exception:  # noqa: BLE001 - told once in the log; a request must not pay for it
            self.fault()
            return None
        if self._subscriptions:
            self._deliver()
        return result

    def take(self, step: Callable[..., R], *args: object) -> R | None:
        """Take one step and tell nobody yet: for where the pool's own lock may be held. None in the midst of one."""
        if self.inside:
            return None
        try:
            with self._lock:
                now = self.clock()
                self._settle(now)
                return step(*args, now)
        except Exception:  # noqa: BLE001 - told once in the log; a request must not pay for it
            self.fault()
            return None

    @property
    def inside(self) -> bool:
        """Whether this thread is in the midst of a step: a finalizer or a signal's handler asks."""
        return is_mine(self._lock)

    def defer(self, step: Callable[..., Any], *args: object) -> None:
        """Take one step later, from a finalizer: this takes no lock and may be called anywhere."""
        self._deferred.append((step, args))

    def look(self, look: Callable[[float], R]) -> R:
        """Look at the state: what was deferred is done, and what is plain is taken in. A fault there costs no look."""
        with self._lock:
            now = self.clock()
            self._settle(now)
            self.attempt(self.pool.settle, now)
            seen = look(self.clock())  # a request that was taken in just now may have come after the other
        self._deliver()  # what was settled just now may be the last that this pool has to say
        return seen

    def attach(self, sinks: Iterable[Sink], pool: ObservedPool) -> None:
        """Attach sinks. One that fails here is logged by name and left out."""
        self.apply(self.pool.settle)  # what is over, no new sink hears of
        for sink in sinks:
            try:
                wanted = sink.attach(pool)
                subscription = wanted if isinstance(wanted, Subscription) else Subscription(wanted)
                if not subscription.handlers:
                    continue
                for kind in subscription.handlers:
                    self.pool.journal.want(kind, subscription.queue.append)
            except Exception:
                logger.exception("poolscope: sink %r failed to attach to pool %r and is disabled", sink, self.pool.name)
                continue
            subscription.sink = sink
            self._subscriptions = (*self._subscriptions, subscription)
            if Checkout in subscription.handlers:
                self.fold_at = min(self.fold_at, _FOLD_AT_FOR_A_SINK)
            elif not _OF_A_REQUEST.isdisjoint(subscription.handlers):
                self.plain = False

    def deliver_from(self, subscription: Subscription) -> None:
        """Deliver what is put into this queue, too."""
        self._subscriptions = (*(other for other in self._subscriptions if other is not subscription), subscription)

    def _settle(self, now: float) -> None:
        while self._deferred:
            step, args = self._deferred.popleft()
            self.attempt(step, *args, now)

    def attempt(self, step: Callable[..., Any], *args: object) -> None:
        """Do something under the lock. Should it fail, what comes after it is done all the same."""
        try:
            step(*args)
        except Exception as exc:  # noqa: BLE001 - told when the lock is free: a log's handler may wait for anything
            self._failed = exc

    def _deliver(self) -> None:
        if collecting():  # a sink's own locks may be held here: the next step delivers, or the next look
            return
        failed, self._failed = self._failed, None
        if failed is not None:
            self.fault(failed)
        for subscription in self._subscriptions:
            if not subscription.queue:
                continue
            try:
                subscription.flush()
            except Exception:
                if self._disable(subscription):
                    message = "poolscope: sink %r failed and is disabled for pool %r"
                    logger.exception(message, subscription.sink, self.pool.name)

    def _disable(self, failed: Subscription) -> bool:
        """Deliver to it no more. Whether it is the first time: handlers may fail in several threads at once."""
        with self._lock:
            others = tuple(other for other in self._subscriptions if other is not failed)
            first = len(others) < len(self._subscriptions)
            self._subscriptions = others
            self.pool.journal.unwant(failed.queue.append)
            failed.queue.clear()
        return first

    def fault(self, exc: Exception | None = None) -> None:
        """Log, once, that something of ours failed. exc: what it was; by default the exception that is handled."""
        if not self._faulted:
            self._faulted = True
            message = "poolscope: fault in the observer of pool %r; its numbers may be off"
            logger.error(message, self.pool.name, exc_info=exc or True)
