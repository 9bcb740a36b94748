"""A network in memory on which every call suspends once, and a driver that counts a request's suspensions.

Nothing here depends on time: a bare request suspends exactly as often in each run, so a wrapped one must, too,
and a cancellation at its k-th suspension must leave the same pool behind.
"""

import asyncio
from functools import cache

import anyio
import anyio.lowlevel
import h2.config
import h2.connection
import h2.events


class Http1Peer:
    """The far end of a connection: one answer for each request's empty line."""

    def __init__(self, answer: bytes):
        self.answer, self.sent, self.seen = answer, b"", b""

    def receive(self, data: bytes) -> None:
        self.seen += data
        while b"\r\n\r\n" in self.seen:
            head, _, self.seen = self.seen.partition(b"\r\n\r\n")
            if head.startswith(b"CONNECT"):
                self.sent += b"HTTP/1.1 200 Established\r\n\r\n"
            elif b" HTTP/1.1\r\n" in head:
                self.sent += self.answer


class Http2Peer:
    """The far end of an HTTP/2 connection: answers 200 and two bytes on each stream."""

    def __init__(self, answer: bytes):
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self._h2.initiate_connection()
        self.sent = self._h2.data_to_send()

    def receive(self, data: bytes) -> None:
        for event in self._h2.receive_data(data):
            if isinstance(event, h2.events.StreamEnded):
                self._h2.send_headers(event.stream_id, [(":status", "200")])
                self._h2.send_data(event.stream_id, b"ok", end_stream=True)
        self.sent += self._h2.data_to_send()


class _Tls:
    """All that httpcore asks of an SSL object."""

    def __init__(self, protocol: str):
        self.selected_alpn_protocol = lambda: protocol


class Network:
    """What the streams of one run share: the answer, the calls so far, and the call that is interrupted."""

    def __init__(self, answer: bytes, *, http2: bool = False, interrupt: int = 0):
        self.answer, self.http2, self.interrupt = answer, http2, interrupt
        self.calls: list[str] = []

    def call(self, what: str) -> None:
        self.calls.append(what)
        if len(self.calls) == self.interrupt:
            raise KeyboardInterrupt

    def peer(self):
        return (Http2Peer if self.http2 else Http1Peer)(self.answer)

    def info(self, name: str):
        return {"ssl_object": _Tls("h2" if self.http2 else "http/1.1"), "is_readable": False}.get(name)


def _take(peer, size: int) -> bytes:
    data, peer.sent = peer.sent[:size], peer.sent[size:]
    return data


@cache
def _async_stream(core):
    class Stream(core.AsyncNetworkStream):
        def __init__(self, network):
            self._network, self._peer = network, network.peer()

        async def read(self, max_bytes, timeout=None):
            self._network.call("read")
            await anyio.lowlevel.checkpoint()
            return _take(self._peer, max_bytes)

        async def write(self, buffer, timeout=None):
            self._network.call("write")
            await anyio.lowlevel.checkpoint()
            self._peer.receive(bytes(buffer))

        async def aclose(self):
            self._network.call("close")
            await anyio.lowlevel.checkpoint()

        async def start_tls(self, ssl_context, server_hostname=None, timeout=None):
            self._network.call("tls")
            await anyio.lowlevel.checkpoint()
            return self

        def get_extra_info(self, info):
            return self._network.info(info)

    return Stream


@cache
def _async_backend(core):
    stream_class = _async_stream(core)

    class Backend(core.AsyncNetworkBackend):
        def __init__(self, network):
            self._network = network

        async def connect_tcp(self, host, port, timeout=None, local_address=None, socket_options=None):
            self._network.call("connect")
            await anyio.lowlevel.checkpoint()
            return stream_class(self._network)

    return Backend


@cache
def _sync_stream(core):
    class Stream(core.NetworkStream):
        def __init__(self, network):
            self._network, self._peer = network, network.peer()

        def read(self, max_bytes, timeout=None):
            self._network.call("read")
            return _take(self._peer, max_bytes)

        def write(self, buffer, timeout=None):
            self._network.call("write")
            self._peer.receive(bytes(buffer))

        def close(self):
            self._network.call("close")

        def start_tls(self, ssl_context, server_hostname=None, timeout=None):
            self._network.call("tls")
            return self

        def get_extra_info(self, info):
            return self._network.info(info)

    return Stream


@cache
def _sync_backend(core):
    stream_class = _sync_stream(core)

    class Backend(core.NetworkBackend):
        def __init__(self, network):
            self._network = network

        def connect_tcp(self, host, port, timeout=None, local_address=None, socket_options=None):
            self._network.call("connect")
            return stream_class(self._network)

    return Backend


def in_memory(core, network: Network, *, is_async: bool):
    """A network backend of this flavour and colour on `network`."""
    return (_async_backend if is_async else _sync_backend)(core)(network)


class Stepped:
    """Awaits a coroutine, counts its suspensions, and calls `at` in the k-th."""

    def __init__(self, coroutine, k: int = 0, at=None):
        self._coroutine, self._k, self._at = coroutine, k, at
        self.suspensions = 0

    def __await__(self):
        resume = self._coroutine.send, None
        while True:
            try:
                step, value = resume
                trap = step(value)
            except StopIteration as stop:
                return stop.value
            self.suspensions += 1
            if self.suspensions == self._k:
                self._at()
            try:
                resume = self._coroutine.send, (yield trap)
            except BaseException as exc:
                resume = self._coroutine.throw, exc


async def cancelled_at(colour: str, coroutine, k: int) -> tuple[str, int]:
    """Run `coroutine`, cancelled in its k-th suspension as its loop cancels; how it ended, and its suspensions."""
    if colour == "asyncio":
        stepped = Stepped(coroutine, k, lambda: asyncio.current_task().cancel())

        async def run():
            return await stepped

        task = asyncio.ensure_future(run())
        await asyncio.wait([task])
        return ("cancelled" if task.cancelled() else _ending(task.exception())), stepped.suspensions
    ending = "cancelled"
    with anyio.CancelScope() as scope:
        stepped = Stepped(coroutine, k, scope.cancel)
        try:
            await stepped
            ending = _ending(None)
        except Exception as exc:
            ending = _ending(exc)
    return ending, stepped.suspensions


def _ending(exc: BaseException | None) -> str:
    return repr(exc) if exc else "well"
