"""One run of one scenario: its servers, clients and everything observed, as one plain dict."""

import gc
import re
import warnings
from contextlib import ExitStack, contextmanager

import anyio

from harness import H2Server, Server, client_context, server_context
from transparency import describe
from transparency.colours import Flavour, Speech, drive, inner
from transparency.wire import Wire, as_text, recording

_UNLIKE = re.compile(  # what differs from run to run
    r"0x[0-9a-f]+|(?<=cancel scope )[0-9a-f]+( by <Task .*>)?|(?<=fd=)[0-9]+|(?<=laddr=)\('[^']*', [0-9]+\)"
)


class Run(Speech):
    """What a scenario works with. Whatever it makes here is closed, and observed, at the end."""

    def __init__(self, flavour: Flavour, colour: str, wrap):
        super().__init__(colour)
        self.flavour = flavour
        self.httpx, self.core = flavour.httpx, flavour.core
        self.record: dict = {}
        self.wire = Wire()
        self.unordered = False  # True where requests run at the same time: order is then no observable
        self.stack = ExitStack()
        self._wrap = wrap
        self._servers: list = []
        self._transports: list = []
        self._names: dict[str, str] = {}

    def serve(self, script=None, *, tls=False, uds=False, kind=Server) -> Server:
        """A scripted HTTP/1.1 server; `tls` is True or a context."""
        return self._served(kind(script, tls=server_context() if tls is True else tls or None, uds=uds))

    def serve_h2(self, script=None, **options) -> H2Server:
        """A scripted HTTP/2 server; how its windows make reads and writes fall is not compared."""
        self.wire.with_data = False
        return self._served(H2Server(script, **options))

    def _served(self, server):
        self.stack.enter_context(server)
        self._servers.append(server)
        self.known(server.port or server.path, f"SERVER{len(self._servers)}")
        return server

    def known(self, value, name: str) -> None:
        """Call a port or path, which differs from run to run, by this name in what is compared."""
        self._names[str(value)] = name
        if isinstance(value, int):  # as SOCKS sends it, after 127.0.0.1
            socks = b"\x7f\0\0\1" + value.to_bytes(2, "big")
            self._names[as_text(socks)] = name

    def transport(self, *, refusals=0, **options):
        """The transport under test, on a network that is written down and refuses the first so many connects."""
        classes = self.httpx.AsyncHTTPTransport, self.httpx.HTTPTransport
        options = {"verify": client_context(), "trust_env": False, **options}
        if "proxy" in options:
            options["proxy"] = self.httpx.Proxy(options["proxy"])  # oldest httpx takes no string here
        bare = classes[not self.is_async](**options)
        pool = bare._pool
        backend = recording(self.core, pool._network_backend, self.wire, is_async=self.is_async)
        backend.refusals = refusals
        pool._network_backend = backend
        transport = self._wrap(self, bare)
        self._transports.append(transport)
        base = self.httpx.AsyncBaseTransport if self.is_async else self.httpx.BaseTransport
        shown = {"class": describe.class_name(transport), "is a transport": isinstance(transport, base)}
        self.record[f"transport {len(self._transports)}"] = shown
        return self.face(transport)

    def client(self, transport=None, **options):
        """A client on `transport`, or on a plain one."""
        kind = self.httpx.AsyncClient if self.is_async else self.httpx.Client
        transport = inner(transport or self.transport())
        return self.face(kind(transport=transport, **{"timeout": 5, "trust_env": False, **options}))

    def observe(self, name: str, value) -> None:
        """Write `value` down."""
        assert name not in self.record, f"{name} is written down twice"
        self.record[name] = describe.described(value, self.flavour)

    def mark(self, name: str) -> None:
        """Write down the pools as they are now, and that all calls so far came before."""
        self.wire.mark(name)
        self.record[f"pools at: {name}"] = [describe.pool(transport) for transport in self._transports]

    @contextmanager
    def attempting(self, name: str):
        """Write down what the block raises; only a cancellation of the run itself goes on."""
        try:
            yield
        except BaseException as exc:
            self.record[f"{name} raised"] = describe.exception(exc, self.flavour)
            if self.is_async and isinstance(exc, anyio.get_cancelled_exc_class()):
                raise
        self.mark(name)

    async def attempt(self, name: str, function, *args, **kwargs):
        """Call an async function; write down what it returns or raises."""
        with self.attempting(name):
            result = await function(*args, **kwargs)
            self.observe(name, result)
            return result

    async def attempt_quietly(self, name: str, function, *args) -> None:
        """`attempt` among others at the same time: the pool's state then is no observable."""
        try:
            self.observe(name, await function(*args))
            self.record[name]["extensions"].pop("stream_id", None)
        except Exception as exc:
            self.record[f"{name} raised"] = describe.exception(exc, self.flavour)

    async def perform(self, scenario) -> None:
        with self.stack:
            with self.attempting("scenario"):
                await scenario(self)
            for number, transport in enumerate(self._transports):
                await self.attempt(f"last close {number}", self.face(transport).aclose)
            self.record["every connection ended"] = [server.settle(5) for server in self._servers]
            self.record["connections"] = [
                self._ordered([self._ordered(log) for log in server.logs]) for server in self._servers
            ]
        self.record["wire"] = self._ordered(self.wire.entries)

    def _ordered(self, items):
        return sorted(items) if self.unordered else items

    def plain(self, value):
        """`value` with the names of what differs from run to run by nature."""
        if isinstance(value, dict):
            return {str(self.plain(key)): self.plain(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.plain(item) for item in value]
        if not isinstance(value, (str, bytes)):
            return value
        text = value.decode("latin-1") if isinstance(value, bytes) else value
        for unlike, name in self._names.items():
            text = text.replace(unlike, name)
        return _UNLIKE.sub("...", text)


def _is_chance(warning: str) -> bool:
    """Whether trio warns of a generator of httpcore's: it ends those it finds in a set, inner or outer one first."""
    return "Async generator 'httpcore" in warning


def observed(scenario, flavour: Flavour, colour: str, wrap) -> dict:
    """Everything observed in one run of a scenario whose transports went through `wrap`."""
    run = Run(flavour, colour, wrap)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        drive(colour, run.perform, scenario)
        gc.collect()  # what this run left behind warns now, not in a later run
    told = [f"{item.category.__name__} {item.message}" for item in caught]
    run.record["warnings"] = sorted(_UNLIKE.sub("...", text) for text in told if not _is_chance(text))
    return run.plain(run.record)
