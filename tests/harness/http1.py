"""A scripted HTTP/1.1 server on raw sockets: what it sends, and when, is the script's word alone."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus

from harness.listener import BasePeer, Listener

Headers = Iterable[tuple[str, str]]


@dataclass
class Request:
    """What a client sent; `body` is empty until it was read."""

    method: str
    target: str
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)


class Peer(BasePeer):
    """One HTTP/1.1 connection, as its script sees it."""

    def __init__(self, listener, sock, number):
        super().__init__(listener, sock, number)
        self._buffer = b""

    def request(self, *, body: bool = True) -> Request | None:
        """The next request, None when the client has closed; `body=False` reads its head alone."""
        while b"\r\n\r\n" not in self._buffer:
            data = self.receive()
            if not data:
                self.log.append("client closed")
                return None
            self._buffer += data
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        method, target, _ = line.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (item.partition(":") for item in fields)}
        request = Request(method, target, headers)
        self.log.append(f"{method} {target}")
        self.listener.requests.append(request)
        if body:
            self.read_body(request)
        return request

    def requests(self):
        """Every request until the client closes."""
        while (request := self.request()) is not None:
            yield request

    def read_body(self, request: Request) -> bytes:
        """The body of a request whose head was read; logged where there is one."""
        if "chunked" in request.headers.get("transfer-encoding", ""):
            while size := int(self._line(), 16):
                request.body += self._take(size)
                self._line()
            self._line()
        else:
            request.body = self._take(int(request.headers.get("content-length", "0")))
        if request.body:
            self.log.append(f"{len(request.body)} bytes of body")
        return request.body

    def respond(self, status: int = 200, body: bytes = b"", headers: Headers = (), *, version: str = "1.1") -> None:
        """A whole response, with its content-length where the status has a body."""
        bodiless = status < 200 or status in {204, 304}
        length = [] if bodiless else [("content-length", str(len(body)))]
        self.send(head(status, [*length, *headers], version) + body)

    def respond_head(self, status: int = 200, headers: Headers = (), parts: Iterable[bytes] = ()) -> None:
        """The head of a response whose body comes in chunks; `parts`, its first ones, leave with it."""
        self.send(head(status, [("transfer-encoding", "chunked"), *headers]) + b"".join(map(chunk, parts)))

    def chunk(self, *parts: bytes) -> None:
        """Chunks of the body, sent at once; the empty one ends it."""
        self.send(b"".join(map(chunk, parts)))

    def echo(self) -> None:
        """Send back whatever comes, until the client closes."""
        if self._buffer:
            self.send(self._take(len(self._buffer)))
        while data := self.receive():
            self.send(data)
        self.log.append("client closed")

    def until_closed(self) -> bytes:
        """Read until the client closes; what came."""
        data = self._take(len(self._buffer)) + super().until_closed()
        self.log.append("client closed")
        return data

    def _line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            self._fill()
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line

    def _take(self, size: int) -> bytes:
        parts, missing = [self._buffer], size - len(self._buffer)
        while missing > 0:
            self._buffer = b""
            self._fill()
            parts.append(self._buffer)
            missing -= len(self._buffer)
        whole = b"".join(parts)
        self._buffer = whole[size:]
        return whole[:size]

    def _fill(self) -> None:
        data = self.receive()
        if not data:
            raise ConnectionAbortedError("the client closed inside a request")
        self._buffer += data


def chunk(data: bytes) -> bytes:
    """The bytes of a chunk."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def head(status: int, headers: Headers = (), version: str = "1.1") -> bytes:
    """The bytes of a response's head."""
    reason = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Unknown"
    lines = [f"HTTP/{version} {status} {reason}", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


class Server(Listener):
    """`Server(script)`: a scripted HTTP/1.1 server; `requests` is what all its connections were sent."""

    peer_class = Peer

    def __init__(self, script=None, **options):
        super().__init__(script or answer, **options)
        self.requests: list[Request] = []


def answer(peer: Peer) -> None:
    """The plain script: 200 and two bytes to each request, until the client closes."""
    for _ in peer.requests():
        peer.respond(200, b"ok")
