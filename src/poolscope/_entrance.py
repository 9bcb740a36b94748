"""The two entrances that a traced request passes: the transport's, and the pool's below it.

1. What is entered does what it does: results, exceptions, how often a coroutine suspends go through unchanged.
2. Without a trace to keep, neither is there.

Between the two stands whatever else wraps the transport, another instrumentation's span among it: so it is at the pool
that the current span is the request's own.
"""

from typing import Any, ClassVar

from poolscope._hooks import Hook
from poolscope._locks import new_lock
from poolscope._observer import Observer
from poolscope._records import CURRENT, Checkout
from poolscope._tracing import Handle, Leave

_watching = new_lock()


def enter(
    observer: Observer, checkout: Checkout | None, handle: Handle, request: Any
) -> tuple[Handle, Any, Leave | None]:
    """Let tracing see a request that enters the transport; give what to call, with what, and what to do after it."""
    tracing = observer.tracing
    try:
        if tracing is not None and checkout is not None and tracing.awake(checkout.started_at):
            if observer.watch_entrance is not None:
                _watch(observer)
            return tracing.enter(checkout, handle, request, observer.name)
    except Exception:  # noqa: BLE001 - a request must not pay for it
        observer.untrace()
    return handle, request, None


def _watch(observer: Observer) -> None:
    """Watch the pool's entrance, once; whoever finds that done, finds it in place."""
    with _watching:
        if observer.watch_entrance is not None:
            observer.watch_entrance(observer)
            observer.watch_entrance = None


class _Entrance(Hook):
    """The parts of a pool's entrance that have no colour. method: the name of the pool's."""

    method: ClassVar[str]

    def __init__(self, pool: Any, observer: Observer) -> None:
        super().__init__(pool)
        self._observer = observer
        self._below = self._under(self.method)
        self._stand_in()

    def _begin(self, request: Any) -> Checkout | None:
        observer = self._observer
        checkout, tracing = CURRENT.get(), observer.tracing
        if checkout is None or tracing is None or checkout.ended:
            return None
        try:
            tracing.inside(checkout, request, observer.name)
        except Exception:  # noqa: BLE001 - a request must not pay for it
            observer.untrace()
            return None
        if checkout.trace is None:
            return None
        checkout.queued = observer.in_use >= observer.pool.max
        return checkout

    def _left(self, checkout: Checkout | None, exc: BaseException) -> None:
        observer = self._observer
        if checkout is not None:
            checkout.queued = checkout.queued or observer.in_use >= observer.pool.max
            observer.tell(checkout, "left", exc)


class AsyncEntrance(_Entrance):
    """On an async pool."""

    method = "handle_async_request"

    async def handle_async_request(self, request: Any) -> Any:
        """Send one request through the pool."""
        checkout = self._begin(request)
        try:
            return await self._below(self._inner(), request)
        except BaseException as exc:
            self._left(checkout, exc)
            raise


class Entrance(_Entrance):
    """On a pool."""

    method = "handle_request"

    def handle_request(self, request: Any) -> Any:
        """Send one request through the pool."""
        checkout = self._begin(request)
        try:
            return self._below(self._inner(), request)
        except BaseException as exc:
            self._left(checkout, exc)
            raise
