"""Proxies of the pool's connections: when one is handed to a request, taken back, closed by the pool, dropped.

1. What the wrapped connection does goes through unchanged: results, exceptions, how often a coroutine suspends.
2. Nothing of ours raises here: an exception in a close or a status call would fail an unrelated request.

The pool asks a connection for its status O(connections x waiting requests) times, so the status methods of the proxy
*are* the inner ones.
"""

import sys
from typing import Any, Protocol
from weakref import ref

from poolscope import _contract as c
from poolscope._network import CURRENT, Proxy
from poolscope._observer import Observer
from poolscope._phases import BODILESS
from poolscope._records import Checkout, Connection, error_type
from poolscope._transitions import ACTIVE, ESTABLISHING, IDLE, RESERVED

_STATUS = (
    "can_handle_request",
    "can_multiplex",
    "has_expired",
    "info",
    "is_available",
    "is_closed",
    "is_connected",
    "is_idle",
)


class Guide(Protocol):
    """What a connection's proxy must be told of the pool. unavailable: the exception that means "not after all"."""

    observer: Observer
    unavailable: type[BaseException]

    def close_reason(self, inner: Any, connection: Connection) -> str:
        """Say why the pool closes this connection."""


class _Connection(Proxy):
    """The parts of a connection's proxy that have no colour."""

    def __init__(self, inner: Any, guide: Guide, connection: Connection) -> None:
        self._inner = inner
        self._guide = guide
        self._observer = guide.observer
        self._connection = connection
        connection.probe = ref(self)
        for name in _STATUS:
            if hasattr(inner, name):
                setattr(self, name, getattr(inner, name))

    def __repr__(self) -> str:
        return repr(self._inner)

    def __del__(self) -> None:
        if not sys.is_finalizing() and hasattr(self, "_connection"):
            self._observer.defer(self._observer.pool.slots.gone, self._connection)

    def _offer(self) -> Checkout | None:
        checkout = CURRENT.get()
        if checkout is None or checkout.ended_at is not None:
            self._connection.stranger = True
            return None
        self._observer.offer(checkout, self._connection)
        if checkout.method not in BODILESS:
            self._arm_read(checkout)
        return checkout

    def _arm_read(self, checkout: Checkout) -> None:
        stream = self._connection.stream()
        if stream is not None:
            stream.arm_read(checkout)

    def _wanted(self, request: Any) -> None:
        """Note the timeouts of a request that has a connection made for it."""
        self._observer.take(self._observer.pool.seen.wanted, request.extensions.get("timeout", {}))

    def _answered(self) -> None:
        """Note that there is a response before we saw the connection get ready: the user spoke CONNECT himself."""
        self._observer.opened(self._connection, "1.1")

    def _broke(self, checkout: Checkout | None, exc: BaseException) -> None:
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
        if connection.state == RESERVED and self._inner.is_closed():
            observer.apply(observer.pool.slots.detached, connection)

    def _close(self) -> None:
        guest = self._observer.pool.slots.guests.get(self._connection)
        if guest is not None:
            self._observer.engage(guest)
        try:
            if self._connection.state in (ACTIVE, IDLE):
                self._connection.closing = self._guide.close_reason(self._inner, self._connection)
        except Exception:  # noqa: BLE001 - a reason is not worth a request
            self._connection.closing = c.POOL_CLOSED

    def _closed(self) -> None:
        self._observer.apply(self._observer.pool.slots.detached, self._connection)


class AsyncConnectionProxy(_Connection):
    """An async connection of the pool."""

    async def handle_async_request(self, request: Any) -> Any:
        """Send one request; the pool has handed the connection over for it."""
        if self._connection.state == RESERVED:
            self._wanted(request)
        checkout = self._offer()
        try:
            response = await self._inner.handle_async_request(request)
        except BaseException as exc:
            self._broke(checkout, exc)
            raise
        if self._connection.state == ESTABLISHING:
            self._answered()
        if checkout is not None and checkout.trace is not None:
            self._observer.tell(checkout, "served")
        return response

    async def aclose(self) -> None:
        """Close, because the pool says so."""
        self._close()
        try:
            await self._inner.aclose()
        finally:
            self._closed()


class ConnectionProxy(_Connection):
    """A connection of the pool."""

    def handle_request(self, request: Any) -> Any:
        """Send one request; the pool has handed the connection over for it."""
        if self._connection.state == RESERVED:
            self._wanted(request)
        checkout = self._offer()
        try:
            response = self._inner.handle_request(request)
        except BaseException as exc:
            self._broke(checkout, exc)
            raise
        if self._connection.state == ESTABLISHING:
            self._answered()
        if checkout is not None and checkout.trace is not None:
            self._observer.tell(checkout, "served")
        return response

    def close(self) -> None:
        """Close, because the pool says so."""
        self._close()
        try:
            self._inner.close()
        finally:
            self._closed()
