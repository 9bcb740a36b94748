"""The only file that touches private names of httpx and httpcore.

1. What the pool does goes through unchanged; it is watched through what it calls: `create_connection`, the network
   backend, and the connections that it made.
2. Nothing of ours raises into the pool.
"""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from weakref import finalize

from poolscope import _contract as c
from poolscope._connection_hooks import UNREADY, AsyncConnectionHook, ConnectionHook
from poolscope._entrance import AsyncEntrance, Entrance
from poolscope._flavour import root_of
from poolscope._foreign import wraps
from poolscope._hooks import Hook
from poolscope._network import AsyncBackendProxy, BackendProxy
from poolscope._observer import Observer
from poolscope._records import Connection


class Seam(Hook):
    """Watches one httpcore pool: puts our hooks on its connections."""

    def __init__(self, observer: Observer, pool: Any, flavour: Any, *, asynchronous: bool) -> None:
        super().__init__(pool)
        self.observer = observer
        self.unavailable = flavour.core.ConnectionNotAvailable
        self._core = flavour.core.__name__
        self._failed = flavour.core.ConnectError
        self.newer_core = flavour.name == "httpx2"
        self.asynchronous = asynchronous
        self._create_below = self._under("create_connection")
        observer.half_read, observer.unanswered = _half_read, _unanswered
        observer.watch_entrance = partial(_watch_entrance, self._inner, asynchronous)
        observer.pool.losses.kept = partial(_kept, self._inner)
        self._stand_in()

    def create_connection(self, origin: Any) -> Any:
        """Stand in for the pool's method. In the sync colour the pool's lock is held: emit nothing."""
        pool: Any = self._inner()
        if pool is None:  # somebody's finalizer sends a request, while the collector has the pool
            raise self._failed("the client is being collected")
        state = self.observer.pool
        connection = self.observer.take(state.reserve, origin.scheme, origin.host, origin.port, _kept(self._inner))
        if connection is None:
            return self._create_below(pool, origin)
        backend = pool._network_backend
        watch: Any = AsyncBackendProxy if self.asynchronous else BackendProxy
        prior_knowledge = pool._http2 and not pool._http1
        pool._network_backend = watch(backend, self.observer, connection, origin, http2=prior_knowledge)
        try:
            inner = self._create_below(pool, origin)
        except BaseException:
            self.observer.take(state.slots.gone, connection)
            raise
        finally:
            pool._network_backend = backend
        self._watch(inner, connection)
        return inner

    def _watch(self, inner: Any, connection: Connection) -> None:
        hook: Any = AsyncConnectionHook if self.asynchronous else ConnectionHook
        try:
            hook(inner, self, connection)
            connection.own = root_of(type(inner)) == self._core  # a stranger's may hold the pool
        except Exception:  # noqa: BLE001 - one that takes no hook is out of our sight; a request must not pay for it
            self.observer.fault()
            self.observer.take(self.observer.pool.slots.gone, connection)

    def dropped(self, connection: Connection) -> None:
        """Note that the pool's object for a connection was collected. Called by its finalizer."""
        self.observer.defer(self.observer.pool.slots.gone, connection)
        self.observer.diagnosis.connection_dropped()

    def close_reason(self, inner: Any, connection: Connection) -> str:
        """Say why the pool closes this connection, from what it and the pool look like right now."""
        pool = self._inner()
        taken = not inner.is_idle()  # another thread began to use it in the moment in which the pool gave it up
        if self.observer.closing_pool or pool is None or (taken and not pool.connections):
            return c.POOL_CLOSED
        if not taken and inner.has_expired():
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
    """Stand before the pool's own method. Done once a pool, when there is first something to trace."""
    found, entrance = pool(), AsyncEntrance if asynchronous else Entrance
    if found is not None:
        entrance(found, observer)


def _half_read(connection: Connection) -> bool | None:
    """Whether a response has begun and not ended, as HTTP/1.1's parser has it; None where there is none."""
    state = _server_state(connection)
    return state == "SEND_BODY" if state else None


def _unanswered(connection: Connection) -> bool:
    """Whether a request is under way whose response has not begun: it connects, or HTTP/1.1's parser awaits one."""
    inner: Any = connection.probe()
    if inner is None or inner.is_closed():
        return False
    return connection.state in UNREADY or _server_state(connection) == "SEND_RESPONSE"


def _server_state(connection: Connection) -> str:
    """Give what HTTP/1.1's parser has the server do; empty where there is none."""
    inner: Any = connection.probe()
    while inner is not None and not hasattr(inner, "_h11_state"):
        inner = getattr(inner, "_connection", None)
    return "" if inner is None else inner._h11_state.their_state.__name__


def _hook(thing: Any, name: str) -> Any:
    """Give what a method of a thing is bound to: the hook, where one of ours stands in."""
    return getattr(getattr(thing, name, None), "__self__", None)


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
    seam = _hook(pool, "create_connection")
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
    """Put our hook on the pool.

    The pool's idle connections are kept as long as it is there: before the garbage collector runs the finalizers of
    what it found, it clears all weak references to that, and one that uses or closes a client has need of its hooks.
    Not those in use, nor HTTP/2's: they may remember an exception, whose traceback leads back to the pool.
    """
    Seam(observer, pool, flavour, asynchronous=asynchronous)
    finalize(pool, observer.pool.slots.release).atexit = False


def unwatch(pool: Any) -> None:
    """Take our hooks off the pool. Connections that were made under them report their end, and no request any more."""
    for name, kind in (("create_connection", Seam), *((one.method, one) for one in (AsyncEntrance, Entrance))):
        hook = _hook(pool, name)
        if isinstance(hook, kind):
            hook.remove()
    for connection in getattr(pool, "connections", ()):  # a transport without a pool has none
        for handles in (AsyncConnectionHook.handles, ConnectionHook.handles):
            hook = _hook(connection, handles)
            if isinstance(hook, AsyncConnectionHook | ConnectionHook):
                hook.let_go()


def transports_of(client: Any) -> Iterator[tuple[Any, str, Callable[[Any], None]]]:
    """Give each transport of a client, the pattern it is mounted at (empty for the main one), and how to replace it."""
    yield client._transport, "", partial(setattr, client, "_transport")
    for pattern, transport in list(client._mounts.items()):
        if transport is not None:
            yield transport, pattern.pattern, partial(client._mounts.__setitem__, pattern)
