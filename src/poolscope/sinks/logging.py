"""The logging sink, for those who have no metrics backend: the pool's rare and bad moments as lines of a log.

Quiet while all is well: connections are DEBUG, pools INFO; failed connects, slow checkouts and timeouts are WARNING.
"""

import logging

from poolscope import events as e
from poolscope._subscription import Handlers, ObservedPool

_PICTURE_SECONDS = 0.1
"""How old what a line says of the pool may be: a thousand requests may time out at once, and each look costs time."""


class LoggingSink:
    """Writes a pool's events to a logger.

    logger: `poolscope.pool` by default. slow_seconds: a checkout that waited at least as long is a WARNING.
    Raises TypeError where the logger is none, ValueError where slow_seconds is no number or negative.
    """

    def __init__(self, logger: logging.Logger | None = None, *, slow_seconds: float = 1.0) -> None:
        if logger is not None and not isinstance(logger, logging.Logger):
            raise TypeError(f"logger takes a logging.Logger, got {logger!r}")
        if not isinstance(slow_seconds, int | float) or not slow_seconds >= 0:
            raise ValueError(f"slow_seconds takes seconds, a number that is not negative, got {slow_seconds!r}")
        self._logger = logger or logging.getLogger("poolscope.pool")
        self._slow_seconds = slow_seconds

    def __repr__(self) -> str:
        return f"LoggingSink(logger={self._logger.name!r})"

    def attach(self, pool: ObservedPool, /) -> Handlers:
        """Give the handlers for one pool."""
        picture, taken_at = "", -_PICTURE_SECONDS

        def timed_out(event: e.TimedOut) -> None:
            nonlocal picture, taken_at
            if event.at - taken_at >= _PICTURE_SECONDS:
                picture, taken_at = str(pool.snapshot()), event.at
            message = "pool %s: PoolTimeout after %.3f s for %s:%s: %s (%s)"
            where = (event.address, event.port, event.cause, picture)
            self._logger.warning(message, event.pool, event.wait_seconds, *where)

        return {
            e.TimedOut: timed_out,
            e.Acquired: self._acquired,
            e.ConnectFailed: self._connect_failed,
            e.ConnectionOpened: self._opened,
            e.ConnectionClosed: self._closed,
            e.PoolClosed: self._pool_closed,
        }

    def _acquired(self, event: e.Acquired) -> None:
        if event.wait_seconds >= self._slow_seconds:
            message = "pool %s: waited %.3f s for a connection to %s:%s"
            self._logger.warning(message, event.pool, event.wait_seconds, event.address, event.port)

    def _connect_failed(self, event: e.ConnectFailed) -> None:
        message = "pool %s: connecting to %s:%s failed after %.3f s: %s"
        self._logger.warning(message, event.pool, event.address, event.port, event.connect_seconds, event.error_type)

    def _opened(self, event: e.ConnectionOpened) -> None:
        message = "pool %s: connection %d to %s:%s opened in %.3f s (HTTP/%s)"
        where = (event.pool, event.connection_id, event.address, event.port)
        self._logger.debug(message, *where, event.connect_seconds, event.protocol)

    def _closed(self, event: e.ConnectionClosed) -> None:
        message = "pool %s: connection %d to %s:%s closed (%s) after %.3f s and %d requests"
        where = (event.pool, event.connection_id, event.address, event.port)
        self._logger.debug(message, *where, event.reason, event.open_seconds, event.requests)

    def _pool_closed(self, event: e.PoolClosed) -> None:
        self._logger.info("pool %s: closed", event.pool)
