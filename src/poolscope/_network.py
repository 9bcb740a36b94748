"""Proxies of httpcore's network backend and streams, by their documented API: when sockets open, get ready and close.

1. What the wrapped object does goes through unchanged: results, exceptions, the number of times a coroutine suspends.
2. A stream's reads and writes are the inner ones, bound to the instance, save for one that somebody waits for: `arm`
   and `arm_read` uncover the class's own, which covers itself again. (No cycle: a dropped stream must go at once.)

A connection is ready when TCP is up (plain HTTP without a proxy), when TLS to the origin is up, or, through a forward
or SOCKS proxy, when the first HTTP bytes go out.
"""

import sys
from contextvars import ContextVar
from typing import Any
from weakref import ref

from poolscope import _contract as c
from poolscope._observer import Observer
from poolscope._phases import AWAITING_HEADERS, BODILESS, REQUESTING
from poolscope._records import Checkout, Connection, error_type
from poolscope._transitions import ESTABLISHING

CURRENT: ContextVar[Checkout | None] = ContextVar("poolscope_checkout", default=None)
"""The request that the running task or thread is in the pool for."""

_CONNECT = b"CONNECT "
_SOCKS = (b"\x05", b"\x01")
_HTTP2_PREFACE = b"PRI * HTTP/2"
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

    def __init__(
        self, inner: Any, observer: Observer, connection: Connection, origin: Any, stream_class: Any, *, http2: bool
    ) -> None:
        self._inner = inner
        self._observer = observer
        self._connection = connection
        self._target = (origin.host.decode("ascii", errors="replace"), origin.port)
        self._tls = origin.scheme in _TLS_SCHEMES
        self._stream_class = stream_class
        self._protocol = "2" if http2 else "1.1"

    def _begin(self, target: str) -> None:
        checkout = CURRENT.get()
        self._observer.take(self._observer.pool.seen.began, self._connection)
        self._observer.apply(self._observer.pool.connect, checkout, self._connection)
        self._observer.tell(checkout, "connecting", self._connection, target)

    def _failed(self, exc: BaseException) -> None:
        self._observer.apply(self._observer.pool.slots.failed, self._connection, error_type(exc))
        self._observer.tell(CURRENT.get(), "connect_failed", error_type(exc))

    def _connected(self, stream: Any, target: tuple[str, int] | None) -> Any:
        direct = target is None or target == self._target
        self._observer.met(CURRENT.get(), self._connection, stream)
        if direct and not self._tls:
            self._observer.opened(self._connection, self._protocol)
        proxy = self._stream_class(stream, self._observer, self._connection)
        proxy.to_origin = direct
        return proxy


class AsyncBackendProxy(_Backend):
    """An async network backend."""

    async def connect_tcp(self, host: str, port: int, *args: Any, **options: Any) -> Any:
        """Connect to the origin or to the proxy."""
        self._begin(f"{host}:{port}")
        try:
            stream = await self._inner.connect_tcp(host, port, *args, **options)
        except BaseException as exc:
            self._failed(exc)
            raise
        return self._connected(stream, (host, port))

    async def connect_unix_socket(self, path: str, *args: Any, **options: Any) -> Any:
        """Connect to a Unix socket."""
        self._begin(path)
        try:
            stream = await self._inner.connect_unix_socket(path, *args, **options)
        except BaseException as exc:
            self._failed(exc)
            raise
        return self._connected(stream, None)


class BackendProxy(_Backend):
    """A network backend."""

    def connect_tcp(self, host: str, port: int, *args: Any, **options: Any) -> Any:
        """Connect to the origin or to the proxy."""
        self._begin(f"{host}:{port}")
        try:
            stream = self._inner.connect_tcp(host, port, *args, **options)
        except BaseException as exc:
            self._failed(exc)
            raise
        return self._connected(stream, (host, port))

    def connect_unix_socket(self, path: str, *args: Any, **options: Any) -> Any:
        """Connect to a Unix socket."""
        self._begin(path)
        try:
            stream = self._inner.connect_unix_socket(path, *args, **options)
        except BaseException as exc:
            self._failed(exc)
            raise
        return self._connected(stream, None)


class _Stream(Proxy):
    """The parts of a stream's proxy that have no colour.

    to_origin: what is written goes to the origin, not to a proxy on the way. superseded: TLS took the socket over.
    """

    def __init__(self, inner: Any, observer: Observer, connection: Connection) -> None:
        self._inner = inner
        self._observer = observer
        self._connection = connection
        self.to_origin = False
        self.superseded = False
        self.read = inner.read  # type: ignore[method-assign]
        self.get_extra_info = inner.get_extra_info
        if connection.state != ESTABLISHING and not connection.offered and connection.protocol != "2":
            self.write = inner.write  # type: ignore[method-assign]
        connection.stream = ref(self)
        self.arm_read(CURRENT.get())

    def __repr__(self) -> str:
        return repr(self._inner)

    def __del__(self) -> None:
        if not sys.is_finalizing() and not getattr(self, "superseded", True):
            self._observer.defer(self._observer.pool.slots.closed, self._connection, c.DROPPED)

    def arm(self) -> None:
        """Report the next write."""
        self.__dict__.pop("write", None)

    def arm_read(self, checkout: Checkout | None) -> None:
        """Note the next read, if this request may have a body: it has been sent by then."""
        if checkout is not None and checkout.method not in BODILESS:
            self.__dict__.pop("read", None)

    def read(self, max_bytes: int, timeout: float | None = None) -> Any:
        """Receive bytes. What it gives is the inner one's, to be awaited or not."""
        if self._connection.state != ESTABLISHING:  # else it is a proxy that answers
            self.read = self._inner.read  # type: ignore[method-assign]
            checkout = CURRENT.get()
            if checkout is not None and checkout.phase == REQUESTING:
                checkout.phase = AWAITING_HEADERS
        return self._inner.read(max_bytes, timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> Any:
        """Send bytes that somebody waits for. What it gives is the inner one's, to be awaited or not."""
        self._wrote(buffer)
        return self._inner.write(buffer, timeout)

    def _wrote(self, data: bytes) -> None:
        # An empty write counts, save in the set-up: it ends a message of HTTP/1.1, and in HTTP/2 it means that another
        # request's write has taken this one's frames along.
        observer, connection = self._observer, self._connection
        if connection.state == ESTABLISHING:
            if not data or data.startswith(_CONNECT) or data[:1] in _SOCKS:
                self.to_origin = True  # from here on, what is secured is for the origin
                return
            protocol = "2" if data.startswith(_HTTP2_PREFACE) else "1.1"
            observer.opened(connection, protocol)
        checkout = CURRENT.get()
        if checkout is not None:
            observer.apply(observer.pool.write, checkout, connection)
        if not connection.offered:
            self.write = self._inner.write  # type: ignore[method-assign]

    def _securing(self, options: dict[str, Any]) -> None:
        self._observer.tell(CURRENT.get(), "securing", str(options.get("server_hostname") or ""))

    def _tls_failed(self, exc: BaseException) -> None:
        self._observer.apply(self._observer.pool.slots.failed, self._connection, error_type(exc))
        self._observer.tell(CURRENT.get(), "connect_failed", error_type(exc))

    def _secured(self, stream: Any) -> Any:
        tls = stream.get_extra_info("ssl_object")
        self._observer.tell(CURRENT.get(), "secured", tls)
        if self.to_origin:
            protocol = "2" if tls is not None and tls.selected_alpn_protocol() == "h2" else "1.1"
            self._observer.opened(self._connection, protocol)
        self.superseded = True
        secured = type(self)(stream, self._observer, self._connection)
        secured.to_origin = self.to_origin
        return secured

    def _closed(self) -> None:
        self._observer.socket_closed(self._connection, sys.exception())


class AsyncStreamProxy(_Stream):
    """An async network stream."""

    async def start_tls(self, *args: Any, **options: Any) -> Any:
        """Secure the socket."""
        self._securing(options)
        try:
            stream = await self._inner.start_tls(*args, **options)
        except BaseException as exc:
            self._tls_failed(exc)
            raise
        return self._secured(stream)

    async def aclose(self) -> None:
        """Close the socket."""
        try:
            await self._inner.aclose()
        finally:
            self._closed()


class StreamProxy(_Stream):
    """A network stream."""

    def start_tls(self, *args: Any, **options: Any) -> Any:
        """Secure the socket."""
        self._securing(options)
        try:
            stream = self._inner.start_tls(*args, **options)
        except BaseException as exc:
            self._tls_failed(exc)
            raise
        return self._secured(stream)

    def close(self) -> None:
        """Close the socket."""
        try:
            self._inner.close()
        finally:
            self._closed()
