"""Hooks on httpcore's network streams, by their documented API: when a socket gets ready, is secured, is closed.

1. What the stream does goes through unchanged: results, exceptions, the number of times a coroutine suspends.
2. Its reads and writes are its own, save for one that somebody waits for: `arm` and `arm_read` put a hook there, which
   takes itself away.

A connection is ready when TCP is up (plain HTTP without a proxy), when TLS to the origin is up, or, through a forward
or SOCKS proxy, when the first HTTP bytes go out.
"""

import sys
from typing import Any, ClassVar
from weakref import ref

from poolscope import _contract as c
from poolscope._hooks import Hook
from poolscope._observer import Observer
from poolscope._phases import AWAITING_HEADERS, BODILESS, REQUESTING
from poolscope._records import CURRENT, Connection
from poolscope._transitions import ESTABLISHING

_CONNECT = b"CONNECT "
_SOCKS = (b"\x05", b"\x01")
_HTTP2_PREFACE = b"PRI * HTTP/2"


class _Stream(Hook):
    """The parts of a stream's hook that have no colour. closes: the name of its closing method.

    to_origin: what is written goes to the origin, not to a proxy on the way. superseded: TLS took the socket over, and
    what becomes of the stream says nothing of the connection.
    """

    closes: ClassVar[str]

    def __init__(self, stream: Any, observer: Observer, connection: Connection, *, to_origin: bool) -> None:
        super().__init__(stream)
        self._observer = observer
        self._connection = connection
        self.to_origin = to_origin
        self.superseded = False
        self._close_below = self._under(self.closes)
        self._secure_below = self._under("start_tls")
        self._write_below = self._under("write")
        self._read_below = self._under("read")
        self._stand_in()
        if connection.state != ESTABLISHING and not connection.offered and connection.protocol != "2":
            self._uncover("write")
        checkout = CURRENT.get()
        if checkout is None or checkout.method in BODILESS:
            self._uncover("read")
        connection.stream = ref(self)

    @classmethod
    def put(cls, stream: Any, observer: Observer, connection: Connection, *, to_origin: bool) -> None:
        """Put a hook on a stream. One that takes none leaves its connection out of our sight."""
        try:
            cls(stream, observer, connection, to_origin=to_origin)
        except Exception:  # noqa: BLE001 - told once in the log; a request must not pay for it
            observer.fault()
            observer.apply(observer.pool.slots.closed, connection, c.DROPPED)  # where it was opened
            observer.apply(observer.pool.slots.gone, connection)

    def __del__(self) -> None:
        if not sys.is_finalizing() and not getattr(self, "superseded", True):
            self._observer.defer(self._observer.pool.slots.dropped, self._connection)

    def get_extra_info(self, info: str) -> Any:
        """Ask the stream."""
        stream = self._inner()
        return None if stream is None else stream.get_extra_info(info)

    def arm(self) -> None:
        """Report the next write."""
        self._cover("write")

    def arm_read(self) -> None:
        """Note the next read: by then the request has been sent, its body, too."""
        self._cover("read")

    def read(self, max_bytes: int, timeout: float | None = None) -> Any:
        """Receive bytes. What it gives is the stream's own, to be awaited or not."""
        if self._connection.state != ESTABLISHING:  # else it is a proxy that answers
            self._uncover("read")
            checkout = CURRENT.get()
            if checkout is not None and checkout.phase == REQUESTING:
                checkout.phase = AWAITING_HEADERS
        return self._read_below(self._inner(), max_bytes, timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> Any:
        """Send bytes that somebody waits for. What it gives is the stream's own, to be awaited or not."""
        self._wrote(buffer)
        return self._write_below(self._inner(), buffer, timeout)

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
        observer.wrote(CURRENT.get(), connection)
        if not connection.offered and not connection.rivals:
            self._uncover("write")

    def _securing(self, options: dict[str, Any]) -> None:
        self.superseded = True  # a stream that fails here closes itself
        self._observer.tell(CURRENT.get(), "securing", str(options.get("server_hostname") or ""))

    def _secured(self, stream: Any) -> None:
        tls = stream.get_extra_info("ssl_object")
        self._observer.tell(CURRENT.get(), "secured", tls)
        if self.to_origin:
            protocol = "2" if tls is not None and tls.selected_alpn_protocol() == "h2" else "1.1"
            self._observer.opened(self._connection, protocol)
        if stream is self._inner():  # a backend of the user's may do so
            self.superseded = False
            return
        self.remove()
        self.put(stream, self._observer, self._connection, to_origin=self.to_origin)

    def _closed(self) -> None:
        if not self.superseded:
            self._observer.socket_closed(self._connection, sys.exception())


class AsyncStreamHook(_Stream):
    """On an async network stream."""

    closes = "aclose"

    async def start_tls(self, *args: Any, **options: Any) -> Any:
        """Secure the socket."""
        self._securing(options)
        try:
            stream = await self._secure_below(self._inner(), *args, **options)
        except BaseException as exc:
            self._observer.failed(self._connection, exc)
            raise
        self._secured(stream)
        return stream

    def aclose(self) -> Any:
        """Close the socket."""
        return self._closing(self._inner())

    async def _closing(self, stream: Any) -> None:
        try:
            if stream is not None:  # else it is being collected, and its socket with it
                await self._close_below(stream)
        finally:
            self._closed()


class StreamHook(_Stream):
    """On a network stream."""

    closes = "close"

    def start_tls(self, *args: Any, **options: Any) -> Any:
        """Secure the socket."""
        self._securing(options)
        try:
            stream = self._secure_below(self._inner(), *args, **options)
        except BaseException as exc:
            self._observer.failed(self._connection, exc)
            raise
        self._secured(stream)
        return stream

    def close(self) -> Any:
        """Close the socket."""
        return self._closing(self._inner())

    def _closing(self, stream: Any) -> None:
        try:
            if stream is not None:  # else it is being collected, and its socket with it
                self._close_below(stream)
        finally:
            self._closed()
