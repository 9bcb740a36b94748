"""A proxy of httpcore's network backend, by its documented API: when sockets are connected, and that they get a hook.

What the wrapped backend does goes through unchanged: results, exceptions, how often a coroutine suspends.
"""

from typing import Any, ClassVar

from poolscope._observer import Observer
from poolscope._records import CURRENT, Connection
from poolscope._stream_hooks import AsyncStreamHook, StreamHook

_TLS_SCHEMES = (b"https", b"wss")


class Proxy:
    """Forwards everything that it does not say itself."""

    _inner: Any

    def __getattr__(self, name: str) -> Any:
        if name == "_inner":  # not there yet
            raise AttributeError(name)
        return getattr(self._inner, name)


class _Backend(Proxy):
    """The parts of a backend's proxy that have no colour. One a connection, so that its sockets are known."""

    hook: ClassVar[type[AsyncStreamHook | StreamHook]]

    def __init__(self, inner: Any, observer: Observer, connection: Connection, origin: Any, *, http2: bool) -> None:
        self._inner = inner
        self._observer = observer
        self._connection = connection
        self._target = (origin.host.decode("ascii", errors="replace"), origin.port)
        self._tls = origin.scheme in _TLS_SCHEMES
        self._protocol = "2" if http2 else "1.1"

    def _begin(self, target: str) -> None:
        checkout = CURRENT.get()
        self._observer.take(self._observer.pool.seen.began, self._connection)
        self._observer.apply(self._observer.pool.connect, checkout, self._connection)
        self._observer.tell(checkout, "connecting", self._connection, target)

    def _connected(self, stream: Any, target: tuple[str, int] | None) -> Any:
        direct = target is None or target == self._target
        self._observer.met(CURRENT.get(), self._connection, stream)
        if direct and not self._tls:
            self._observer.opened(self._connection, self._protocol)
        self.hook.put(stream, self._observer, self._connection, to_origin=direct)
        return stream


class AsyncBackendProxy(_Backend):
    """An async network backend."""

    hook = AsyncStreamHook

    async def connect_tcp(self, host: str, port: int, *args: Any, **options: Any) -> Any:
        """Connect to the origin or to the proxy."""
        self._begin(f"{host}:{port}")
        try:
            stream = await self._inner.connect_tcp(host, port, *args, **options)
        except BaseException as exc:
            self._observer.failed(self._connection, exc)
            raise
        return self._connected(stream, (host, port))

    async def connect_unix_socket(self, path: str, *args: Any, **options: Any) -> Any:
        """Connect to a Unix socket."""
        self._begin(path)
        try:
            stream = await self._inner.connect_unix_socket(path, *args, **options)
        except BaseException as exc:
            self._observer.failed(self._connection, exc)
            raise
        return self._connected(stream, None)


class BackendProxy(_Backend):
    """A network backend."""

    hook = StreamHook

    def connect_tcp(self, host: str, port: int, *args: Any, **options: Any) -> Any:
        """Connect to the origin or to the proxy."""
        self._begin(f"{host}:{port}")
        try:
            stream = self._inner.connect_tcp(host, port, *args, **options)
        except BaseException as exc:
            self._observer.failed(self._connection, exc)
            raise
        return self._connected(stream, (host, port))

    def connect_unix_socket(self, path: str, *args: Any, **options: Any) -> Any:
        """Connect to a Unix socket."""
        self._begin(path)
        try:
            stream = self._inner.connect_unix_socket(path, *args, **options)
        except BaseException as exc:
            self._observer.failed(self._connection, exc)
            raise
        return self._connected(stream, None)
