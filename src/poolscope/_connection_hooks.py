"""Hooks on the pool's connections: when one is handed to a request, taken back, closed by the pool, dropped.

1. What the connection does goes through unchanged: results, exceptions, how often a coroutine suspends.
2. Nothing of ours raises here: an exception in a close would fail an unrelated request.

The pool asks a connection for its status O(connections x waiting requests) times: there no hook is.
"""

import sys
from typing import Any, ClassVar, Protocol

from poolscope import _contract as c
from poolscope._hooks import Hook
from poolscope._observer import Observer
from poolscope._records import CURRENT, Checkout, Connection, error_type
from poolscope._transitions import ACTIVE, ESTABLISHING, IDLE, RESERVED

UNREADY = frozenset({RESERVED, ESTABLISHING})


class Guide(Protocol):
    """What a connection's hook must be told of the pool. unavailable: the exception that means "not after all"."""

    observer: Observer
    unavailable: type[BaseException]

    def close_reason(self, inner: Any, connection: Connection) -> str:
        """Say why the pool closes this connection."""

    def dropped(self, connection: Connection) -> None:
        """Note that the pool's object for a connection was collected. Called by its finalizer."""


class _Connection(Hook):
    """The parts of a connection's hook that have no colour. handles, closes: the names of the two methods."""

    handles: ClassVar[str]
    closes: ClassVar[str]

    def __init__(self, inner: Any, guide: Guide, connection: Connection) -> None:
        super().__init__(inner)
        self._guide = guide
        self._observer = guide.observer
        self._connection = connection
        connection.probe = self._inner
        self._under(self.handles)
        self._handle_before = self._before[self.handles]
        self._close_below = self._under(self.closes)
        self._stand_in()

    def __del__(self) -> None:
        if not sys.is_finalizing() and hasattr(self, "_connection"):
            self._guide.dropped(self._connection)

    def let_go(self) -> None:
        """Let requests pass by from now on."""
        self._connection.stranger = True
        self._uncover(self.handles)

    def _wanted(self, request: Any) -> None:
        """Note the timeouts of a request that has a connection made for it."""
        self._observer.take(self._observer.pool.seen.wanted, request.extensions.get("timeout", {}))

    def _answered(self, checkout: Checkout | None, response: Any) -> None:
        """Note that there is a response before we saw the connection get ready.

        The user spoke CONNECT himself; or the pool's connections do not use its network backend (httpx-socks), and
        nothing is seen of their sockets.
        """
        observer, connection = self._observer, self._connection
        if connection.state == RESERVED:
            observer.apply(observer.pool.connect, checkout, connection)
        observer.opened(connection, "2" if response.extensions.get("http_version") == b"HTTP/2" else "1.1")

    def _broke(self, checkout: Checkout | None, inner: Any, exc: BaseException) -> None:
        observer, connection = self._observer, self._connection
        if checkout is None:
            return
        if isinstance(exc, self._guide.unavailable):
            observer.tell(checkout, "put_back")
            observer.apply(observer.pool.withdraw, checkout)
            return
        reason = c.FAILED if isinstance(exc, Exception) else c.CANCELLED
        observer.apply(observer.pool.slots.broke, connection, checkout, error_type(exc), reason)
        observer.tell(checkout, "connect_failed", error_type(exc))
        observer.tell(checkout, "served")
        if connection.state == RESERVED and inner.is_closed():
            observer.apply(observer.pool.slots.detached, connection)

    def _close(self, inner: Any) -> None:
        guest = self._observer.pool.slots.guests.get(self._connection)
        if guest is not None:
            self._observer.engage(guest)
        try:
            if self._connection.state in (ACTIVE, IDLE):
                self._connection.closing = self._guide.close_reason(inner, self._connection)
        except Exception:  # noqa: BLE001 - a reason is not worth a request
            self._connection.closing = c.POOL_CLOSED

    def _closed(self) -> None:
        observer, connection = self._observer, self._connection
        observer.apply(observer.pool.slots.detached, connection)
        if connection.streamless:  # nothing else will tell of it
            observer.apply(observer.pool.slots.closed, connection, connection.closing)


class AsyncConnectionHook(_Connection):
    """On an async connection of the pool."""

    handles = "handle_async_request"
    closes = "aclose"

    async def handle_async_request(self, request: Any) -> Any:
        """Send one request; the pool has handed the connection over for it."""
        inner: Any = self._inner()
        if self._connection.state == RESERVED:
            self._wanted(request)
        checkout = self._observer.offer(CURRENT.get(), self._connection)
        try:
            if self._handle_before is None:  # said here, not by `_under`: each request comes by
                response = await type(inner).handle_async_request(inner, request)
            else:
                response = await self._handle_before(request)
        except BaseException as exc:
            self._broke(checkout, inner, exc)
            raise
        if self._connection.state in UNREADY:
            self._answered(checkout, response)
        if checkout is not None and checkout.trace is not None:
            self._observer.tell(checkout, "served")
        return response

    def aclose(self) -> Any:
        """Close, because the pool says so."""
        return self._closing(self._inner())

    async def _closing(self, inner: Any) -> None:
        self._close(inner)
        try:
            if inner is not None:  # else it is being collected, and its socket with it
                await self._close_below(inner)
        finally:
            self._closed()


class ConnectionHook(_Connection):
    """On a connection of the pool."""

    handles = "handle_request"
    closes = "close"

    def handle_request(self, request: Any) -> Any:
        """Send one request; the pool has handed the connection over for it."""
        inner: Any = self._inner()
        if self._connection.state == RESERVED:
            self._wanted(request)
        checkout = self._observer.offer(CURRENT.get(), self._connection)
        try:
            if self._handle_before is None:  # said here, not by `_under`: each request comes by
                response = type(inner).handle_request(inner, request)
            else:
                response = self._handle_before(request)
        except BaseException as exc:
            self._broke(checkout, inner, exc)
            raise
        if self._connection.state in UNREADY:
            self._answered(checkout, response)
        if checkout is not None and checkout.trace is not None:
            self._observer.tell(checkout, "served")
        return response

    def close(self) -> Any:
        """Close, because the pool says so."""
        return self._closing(self._inner())

    def _closing(self, inner: Any) -> None:
        self._close(inner)
        try:
            if inner is not None:  # else it is being collected, and its socket with it
                self._close_below(inner)
        finally:
            self._closed()
