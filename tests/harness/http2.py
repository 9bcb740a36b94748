"""A scripted HTTP/2 server on h2, over TLS: its settings, GOAWAY and resets are the script's word alone."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from harness.certificates import server_context
from harness.listener import BasePeer, Listener

Headers = Iterable[tuple[str, str]]


@dataclass
class H2Request:
    """What a client sent on one stream."""

    stream_id: int
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)

    @property
    def target(self) -> str:
        """The path."""
        return self.headers[":path"]


class H2Peer(BasePeer):
    """One HTTP/2 connection, as its script sees it."""

    def __init__(self, listener, sock, number):
        super().__init__(listener, sock, number)
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self.h2 = h2.connection.H2Connection(config)
        self.streams: dict[int, H2Request] = {}
        self._whole: list[H2Request] = []
        self._started = False

    def start(self) -> None:
        """Send our SETTINGS; `request` does it where the script has not."""
        if not self._started:
            self._started = True
            limit = {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: self.listener.max_streams}
            self.h2.local_settings = h2.settings.Settings(client=False, initial_values=limit)
            self.h2.initiate_connection()
            self.flush()

    def flush(self) -> None:
        """Send what h2 has ready."""
        self.send(self.h2.data_to_send())

    def request(self) -> H2Request | None:
        """The next request that is whole, None when the client has closed."""
        self.start()
        while not self._whole:
            if not self.pump():
                return None
        return self._whole.pop(0)

    def requests(self):
        """Every request until the client closes."""
        while (request := self.request()) is not None:
            yield request

    def pump(self) -> bool:
        """Take in what the client sends next; False when it has closed."""
        data = self.receive()
        if not data:
            self.log.append("client closed")
            return False
        try:
            events = self.h2.receive_data(data)
        except h2.exceptions.ProtocolError as exc:
            self.log.append(f"client spoke no HTTP/2: {type(exc).__name__}")
            return False
        for event in events:
            self._take(event)
        self.flush()
        return True

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived():
                request = H2Request(event.stream_id, dict(event.headers))
                self.streams[event.stream_id] = request
                self.log.append(f"{request.headers[':method']} {request.target}")
                self.listener.requests.append(request)
            case h2.events.DataReceived():
                self.streams[event.stream_id].body += event.data
                if event.flow_controlled_length:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.StreamEnded():
                self._whole.append(self.streams[event.stream_id])
            case h2.events.StreamReset():
                self.log.append("client reset a stream")

    def respond(self, request: H2Request, status: int = 200, body: bytes = b"", headers: Headers = ()) -> None:
        """A whole response on the request's stream."""
        self.respond_head(request, status, headers)
        self.data(request, body, end=True)

    def respond_head(self, request: H2Request, status: int = 200, headers: Headers = ()) -> None:
        """The head of a response whose body comes by `data`."""
        self.h2.send_headers(request.stream_id, [(":status", str(status)), *headers])
        self.flush()

    def data(self, request: H2Request, body: bytes, *, end: bool = False) -> None:
        """Part of the body, as the client's window lets it through."""
        while body:
            window = self.h2.local_flow_control_window(request.stream_id)
            size = min(window, self.h2.max_outbound_frame_size, len(body))
            if size == 0:
                if not self.pump():
                    return
                continue
            self.h2.send_data(request.stream_id, body[:size])
            body = body[size:]
            self.flush()
        if end:
            self.h2.end_stream(request.stream_id)
            self.flush()

    def reset_stream(self, request: H2Request, code: int = h2.errors.ErrorCodes.INTERNAL_ERROR) -> None:
        """RST_STREAM on the request's stream."""
        self.h2.reset_stream(request.stream_id, code)
        self.flush()

    def goaway(self, last_stream_id: int, code: int = h2.errors.ErrorCodes.NO_ERROR) -> None:
        """GOAWAY: streams above `last_stream_id` were not looked at."""
        self.h2.close_connection(code, last_stream_id=last_stream_id)
        self.flush()


class H2Server(Listener):
    """`H2Server(script, max_streams=2)`: scripted HTTP/2; `requests` is what all connections were sent."""

    peer_class = H2Peer

    def __init__(self, script=None, *, max_streams: int = 100):
        super().__init__(script or answer, tls=server_context(alpn=("h2",)))
        self.max_streams = max_streams
        self.requests: list[H2Request] = []


def answer(peer: H2Peer) -> None:
    """The plain script: 200 and two bytes to each request, until the client closes."""
    for request in peer.requests():
        peer.respond(request, 200, b"ok")
