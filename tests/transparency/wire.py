"""Writes down each call that a pool makes on the network below, in order: what leaves, and when, is observable.

Calls of `get_extra_info` are left out: they cost nothing and the wire does not see them. Reads that follow
one another count once, as how a stream of bytes falls into reads is the kernel's choice.
"""

from contextlib import contextmanager
from functools import cache
from zlib import crc32


class Wire:
    """The calls on the network, and the scenario's marks between them."""

    def __init__(self):
        self.entries: list[str] = []
        self.with_data = True  # False where threads or HTTP/2 windows decide how reads and writes fall
        self._streams = 0

    def stream_number(self) -> int:
        self._streams += 1
        return self._streams

    def add(self, entry: str) -> None:
        if not (entry.startswith("read") and self.entries[-1:] == [entry]):
            self.entries.append(entry)

    def mark(self, name: str) -> None:
        self.add(f"-- {name}")

    @contextmanager
    def call(self, what: str):
        is_data = what.startswith(("read", "write"))
        if self.with_data or not is_data:
            self.add(what)
        try:
            yield
        except BaseException as exc:
            if self.with_data or not is_data:
                self.add(f"{what.split(maxsplit=1)[0]} raised {type(exc).__name__}")
            raise


def as_text(data: bytes) -> str:
    """Bytes as text, or their number and checksum where there are many."""
    if len(data) > 300:
        return f"{len(data)} bytes, crc {crc32(data)}"
    return bytes(data).decode("latin-1").encode("unicode_escape").decode()


def _refuse(backend, core) -> None:
    if backend.refusals:
        backend.refusals -= 1
        raise core.ConnectError("refused by the test")


@cache
def _async_stream(core):
    class Stream(core.AsyncNetworkStream):
        def __init__(self, inner, wire, number):
            self._inner, self._wire, self._number = inner, wire, number

        async def read(self, max_bytes, timeout=None):
            with self._wire.call(f"read #{self._number} {max_bytes} {timeout}"):
                return await self._inner.read(max_bytes, timeout)

        async def write(self, buffer, timeout=None):
            with self._wire.call(f"write #{self._number} {timeout} {as_text(buffer)}"):
                return await self._inner.write(buffer, timeout)

        async def aclose(self):
            with self._wire.call(f"close #{self._number}"):
                return await self._inner.aclose()

        async def start_tls(self, ssl_context, server_hostname=None, timeout=None):
            with self._wire.call(f"tls #{self._number} {server_hostname} {timeout}"):
                stream = await self._inner.start_tls(ssl_context, server_hostname, timeout)
            return Stream(stream, self._wire, self._number)

        def get_extra_info(self, info):
            return self._inner.get_extra_info(info)

    return Stream


@cache
def _async_backend(core):
    stream_class = _async_stream(core)

    class Backend(core.AsyncNetworkBackend):
        def __init__(self, inner, wire):
            self._inner, self._wire, self.refusals = inner, wire, 0

        async def connect_tcp(self, host, port, timeout=None, local_address=None, socket_options=None):
            with self._wire.call(f"connect {host}:{port} {timeout} {local_address} {socket_options}"):
                _refuse(self, core)
                args = (host, port, timeout, local_address, socket_options)
                stream = await self._inner.connect_tcp(*args)
            return stream_class(stream, self._wire, self._wire.stream_number())

        async def connect_unix_socket(self, path, timeout=None, socket_options=None):
            with self._wire.call(f"connect {path} {timeout} {socket_options}"):
                stream = await self._inner.connect_unix_socket(path, timeout, socket_options)
            return stream_class(stream, self._wire, self._wire.stream_number())

        async def sleep(self, seconds):
            self._wire.add(f"sleep {seconds}")  # retries wait here; nobody needs to wait in a test

    return Backend


@cache
def _sync_stream(core):
    class Stream(core.NetworkStream):
        def __init__(self, inner, wire, number):
            self._inner, self._wire, self._number = inner, wire, number

        def read(self, max_bytes, timeout=None):
            with self._wire.call(f"read #{self._number} {max_bytes} {timeout}"):
                return self._inner.read(max_bytes, timeout)

        def write(self, buffer, timeout=None):
            with self._wire.call(f"write #{self._number} {timeout} {as_text(buffer)}"):
                return self._inner.write(buffer, timeout)

        def close(self):
            with self._wire.call(f"close #{self._number}"):
                return self._inner.close()

        def start_tls(self, ssl_context, server_hostname=None, timeout=None):
            with self._wire.call(f"tls #{self._number} {server_hostname} {timeout}"):
                stream = self._inner.start_tls(ssl_context, server_hostname, timeout)
            return Stream(stream, self._wire, self._number)

        def get_extra_info(self, info):
            return self._inner.get_extra_info(info)

    return Stream


@cache
def _sync_backend(core):
    stream_class = _sync_stream(core)

    class Backend(core.NetworkBackend):
        def __init__(self, inner, wire):
            self._inner, self._wire, self.refusals = inner, wire, 0

        def connect_tcp(self, host, port, timeout=None, local_address=None, socket_options=None):
            with self._wire.call(f"connect {host}:{port} {timeout} {local_address} {socket_options}"):
                _refuse(self, core)
                stream = self._inner.connect_tcp(host, port, timeout, local_address, socket_options)
            return stream_class(stream, self._wire, self._wire.stream_number())

        def connect_unix_socket(self, path, timeout=None, socket_options=None):
            with self._wire.call(f"connect {path} {timeout} {socket_options}"):
                stream = self._inner.connect_unix_socket(path, timeout, socket_options)
            return stream_class(stream, self._wire, self._wire.stream_number())

        def sleep(self, seconds):
            self._wire.add(f"sleep {seconds}")

    return Backend


def recording(core, backend, wire: Wire, *, is_async: bool):
    """`backend`, written down on `wire`."""
    return (_async_backend if is_async else _sync_backend)(core)(backend, wire)
