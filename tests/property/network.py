"""Network backends in memory.

In the async colour connecting, securing and, if wanted, writing and closing wait at gates, and reading waits for the
server's answer. In the sync colour nothing waits: the answer must be there.
"""

import weakref

import anyio

from property.wire import Http1Wire, Http2Wire


class Tls:
    """What may be asked of a TLS object."""

    def __init__(self, protocol):
        self._protocol = protocol

    def selected_alpn_protocol(self):
        return self._protocol

    def version(self):
        return "TLSv1.3"

    def cipher(self):
        return ("TLS_AES_128_GCM_SHA256", "TLSv1.3", 128)

    def getpeercert(self, binary_form=False):
        return b"" if binary_form else {}


class Gate:
    """Where a task waits for the test's word, ok or not."""

    def __init__(self, what):
        self.what = what
        self.ok = True
        self.event = anyio.Event()


class Network:
    """Every connection there was. gates: who waits. slow: whether writes and closes wait, too.

    eager: nothing waits, and the server answers whatever is written.
    """

    def __init__(self, core, *, http2, max_streams):
        self.core = core
        self.http2 = http2
        self.max_streams = max_streams
        self.connections = []  # (wire, weak reference to the stream that is on it)
        self.gates = []
        self.readers = []
        self.slow = self.eager = False

    def made(self, wire, stream):
        self.connections = [(w, s) for w, s in self.connections if w is not wire]
        self.connections.append((wire, weakref.ref(stream)))
        return stream

    @property
    def wires(self):
        """Those that a server still has."""
        return [wire for wire, _ in self.connections if not wire.closed]

    @property
    def open(self):
        """How many sockets are open, and ready for HTTP: closed by nobody, and their streams not collected."""
        return sum(wire.ready and not wire.closed and stream() is not None for wire, stream in self.connections)

    @property
    def connecting(self):
        """How many are being set up."""
        return sum(gate.what in {"connect", "tls"} for gate in self.gates)

    @property
    def asked(self):
        """How many GETs went over plain connections."""
        return sum(wire.asked for wire, _ in self.connections if wire.port == 80)

    @property
    def repeated(self):
        """How many GETs went over plain connections that had seen a request before."""
        return sum(wire.repeated for wire, _ in self.connections if wire.port == 80)

    def wire(self, port):
        wire = Http2Wire(self.max_streams) if self.http2 and port == 443 else Http1Wire()
        wire.port, wire.ready = port, port == 80
        return wire

    async def gate(self, what, error):
        if self.eager:
            return
        gate = Gate(what)
        self.gates.append(gate)
        try:
            await gate.event.wait()
        finally:
            self.gates.remove(gate)
        if not gate.ok:
            raise error(what)

    def poke(self):
        """Wake those who wait for what has come."""
        for wire, event in self.readers:
            if wire.readable:
                event.set()


class _Stream:
    def __init__(self, network, wire, tls=None):
        self.network = network
        self.wire = wire
        self.tls = tls

    def get_extra_info(self, info):
        return {"is_readable": self.wire.readable, "ssl_object": self.tls, "server_addr": ("192.0.2.1", 443)}.get(info)

    def _secured(self):
        self.wire.ready = True
        secured = type(self)(self.network, self.wire, Tls("h2" if self.network.http2 else "http/1.1"))
        return self.network.made(self.wire, secured)

    def _asked(self, buffer):
        if buffer.startswith((b"GET ", b"OPTIONS ")):
            get = buffer.startswith(b"GET ")
            self.wire.asked += get
            self.wire.repeated += self.wire.used and get
            self.wire.used = True

    def _read(self, size):
        if self.wire.broken:
            raise self.network.core.ReadError("reset")
        return self.wire.take(size)


class AsyncMemoryStream(_Stream):
    async def read(self, max_bytes, timeout=None):
        await anyio.lowlevel.checkpoint()
        if not self.wire.readable:
            waits = self.wire, anyio.Event()
            self.network.readers.append(waits)
            try:
                await waits[1].wait()
            finally:
                self.network.readers.remove(waits)
        return self._read(max_bytes)

    async def write(self, buffer, timeout=None):
        self._asked(buffer)
        await anyio.lowlevel.checkpoint()
        if self.network.slow:
            await self.network.gate("write", self.network.core.WriteError)
        self.wire.feed(buffer)
        if self.network.eager:
            self.wire.answer("whole", 0)

    async def start_tls(self, ssl_context, server_hostname=None, timeout=None):
        try:
            await self.network.gate("tls", self.network.core.ConnectError)
        except BaseException:
            self.wire.closed = True
            raise
        return self._secured()

    async def aclose(self):
        try:
            await anyio.lowlevel.checkpoint()
            if self.network.slow:
                await self.network.gate("close", self.network.core.WriteError)
        finally:
            self.wire.closed = True


class AsyncMemory:
    """An async backend."""

    def __init__(self, network):
        self.network = network

    async def connect_tcp(self, host, port, timeout=None, local_address=None, socket_options=None):
        await self.network.gate("connect", self.network.core.ConnectError)
        wire = self.network.wire(port)
        return self.network.made(wire, AsyncMemoryStream(self.network, wire))


class MemoryStream(_Stream):
    def read(self, max_bytes, timeout=None):
        if not self.wire.readable:
            raise self.network.core.ReadTimeout("nothing came")
        return self._read(max_bytes)

    def write(self, buffer, timeout=None):
        self._asked(buffer)
        self.network.step("write", self.network.core.WriteError)
        self.wire.feed(buffer)
        for how, which in self.network.answers:
            self.wire.answer(how, which)

    def start_tls(self, ssl_context, server_hostname=None, timeout=None):
        try:
            self.network.step("tls", self.network.core.ConnectError)
        except BaseException:
            self.wire.closed = True
            raise
        return self._secured()

    def close(self):
        self.wire.closed = True
        self.network.step("close", self.network.core.WriteError)


class Memory:
    """A sync backend."""

    def __init__(self, network):
        self.network = network

    def connect_tcp(self, host, port, timeout=None, local_address=None, socket_options=None):
        self.network.step("connect", self.network.core.ConnectError)
        wire = self.network.wire(port)
        return self.network.made(wire, MemoryStream(self.network, wire))


class SyncNetwork(Network):
    """fails: at which step the next request fails, if at any. answers: what the server does upon each write."""

    fails = ""
    answers = ()

    def step(self, what, error):
        if self.fails == what:
            raise error(what)
