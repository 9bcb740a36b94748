"""The only file that touches private names of httpx and httpcore.

1. What the pool does goes through unchanged; it is watched through what it calls: `create_connection`, the network
   backend, and the connections that it gets.
2. Nothing of ours raises into the pool.
"""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from weakref import ref

from poolscope import _contract as c
from poolscope._connection_proxy import AsyncConnectionProxy, ConnectionProxy
from poolscope._entrance import AsyncEntrance, Entrance
from poolscope._foreign import wraps
from poolscope._network import AsyncBackendProxy, BackendProxy
from poolscope._observer import Observer
from poolscope._records import Connection


class Seam:
    """Watches one httpcore pool: puts our proxies between the pool and its connections."""

    def __init__(self, observer: Observer, pool: Any, flavour: Any, *, asynchronous: bool) -> None:
        self.observer = observer
        self.unavailable = flavour.core.ConnectionNotAvailable
        self.newer_core = flavour.name == "httpx2"
        self.asynchronous = asynchronous
        self.stream_class = flavour.async_stream if asynchronous else flavour.sync_stream
        # Weakly: a client that is dropped unclosed must go at once, as it does without us.
        self._pool = ref(pool)
        self._create = pool.__dict__.get("create_connection")
        pool.create_connection = self.create_connection
        observer.watch_entrance = partial(_watch_entrance, self._pool, asynchronous)
        observer.pool.losses.kept = partial(_kept, self._pool)

    def create_connection(self, origin: Any) -> Any:
        """Stand in for the pool's method. In the sync colour the pool's lock is held: emit nothing."""
        pool: Any = self._pool()
        create = self._create or type(pool).create_connection.__get__(pool)
        state = self.observer.pool
        connection = self.observer.take(state.reserve, origin.scheme, origin.host, origin.port, _kept(self._pool))
        if connection is None:
            return create(origin)
        backend = pool._network_backend
        watch: Any = AsyncBackendProxy if self.asynchronous else BackendProxy
        prior_knowledge = pool._http2 and not pool._http1
        pool._network_backend = watch(
            backend, self.observer, connection, origin, self.stream_class, http2=prior_knowledge
        )
        try:
            inner = create(origin)
        except BaseException:
            self.observer.take(state.slots.gone, connection)
            raise
        finally:
            pool._network_backend = backend
        wrap: Any = AsyncConnectionProxy if self.asynchronous else ConnectionProxy
        return wrap(inner, self, connection)

    def remove(self) -> None:
        """Give the pool its own method back."""
        pool = self._pool()
        if pool is not None:
            del pool.create_connection
            _unwatch_entrance(pool)
            if self._create is not None:
                pool.create_connection = self._create

    def close_reason(self, inner: Any, connection: Connection) -> str:
        """Say why the pool closes this connection, from what it and the pool look like right now."""
        pool = self._pool()
        if self.observer.closing_pool or pool is None or not inner.is_idle():
            return c.POOL_CLOSED
        if inner.has_expired():
            stream: Any = connection.stream()
            gone = connection.protocol != "2" and stream is not None and stream.get_extra_info("is_readable")
            return c.SERVER_DISCONNECTED if gone else c.KEEPALIVE_EXPIRED
        if pool._max_keepalive_connections >= pool._max_connections:
            return c.EVICTED
        if not self.newer_core:
            return c.KEEPALIVE_LIMIT  # there a pool that is full has no idle connection left to evict
        others = pool.connections
        idle = sum(other.is_idle() for other in others)
        full = len(others) >= pool._max_connections
        return c.EVICTED if full and idle < pool._max_keepalive_connections else c.KEEPALIVE_LIMIT


def _watch_entrance(pool: Callable[[], Any], asynchronous: bool, observer: Observer) -> None:
    """Stand before the pool's own method, on the instance. Done once a pool, when there is first something to trace."""
    found, entrance = pool(), AsyncEntrance if asynchronous else Entrance
    if found is not None:
        name = entrance.method
        setattr(found, name, getattr(entrance(found, observer, found.__dict__.get(name)), name))


def _unwatch_entrance(pool: Any) -> None:
    for entrance in (AsyncEntrance, Entrance):
        ours = getattr(pool.__dict__.get(entrance.method), "__self__", None)
        if isinstance(ours, entrance):
            delattr(pool, entrance.method)
            if ours.own is not None:
                setattr(pool, entrance.method, ours.own)


def pool_of(transport: Any) -> Any:
    """Give the httpcore pool of an httpx transport, None where it has none; an instrumentation's wrapper is no wall."""
    while wraps(transport):
        transport = transport._transport
    return getattr(transport, "_pool", None)


def limits_of(pool: Any) -> tuple[int | None, int | None, float | None]:
    """Give a pool's max_connections, max_keepalive_connections and keepalive_expiry; None where unlimited."""
    connections, idle = (
        None if limit == sys.maxsize else limit for limit in (pool._max_connections, pool._max_keepalive_connections)
    )
    return connections, idle, pool._keepalive_expiry


def observer_of(pool: Any) -> Observer | None:
    """Give the observer that already watches the pool, None where none does."""
    seam = getattr(pool.__dict__.get("create_connection"), "__self__", None)
    return seam.observer if isinstance(seam, Seam) else None


def _kept(pool: Callable[[], Any]) -> set[int]:
    """Give the ids of the connections that the pool has now. It takes no lock."""
    known = pool()
    return set() if known is None else {id(one) for one in known.connections}


_PRIVATE_NAMES = (
    "create_connection",
    "connections",
    "_network_backend",
    "_max_connections",
    "_max_keepalive_connections",
    "_keepalive_expiry",
    "_http1",
    "_http2",
)


def missing_names(pool: Any) -> list[str]:
    """Give the names that we need of a pool and that this one lacks."""
    return [name for name in _PRIVATE_NAMES if not hasattr(pool, name)]


def watch(pool: Any, observer: Observer, flavour: Any, *, asynchronous: bool) -> None:
    """Put our hook on the pool."""
    Seam(observer, pool, flavour, asynchronous=asynchronous)


def unwatch(pool: Any) -> None:
    """Take our hook off the pool. Connections that were made under it keep reporting until they end."""
    seam = getattr(pool.__dict__.get("create_connection"), "__self__", None)
    if isinstance(seam, Seam):
        seam.remove()


def transports_of(client: Any) -> Iterator[tuple[Any, str, Callable[[Any], None]]]:
    """Give each transport of a client, the pattern it is mounted at (empty for the main one), and how to replace it."""
    yield client._transport, "", partial(setattr, client, "_transport")
    for pattern, transport in list(client._mounts.items()):
        if transport is not None:
            yield transport, pattern.pattern, partial(client._mounts.__setitem__, pattern)
