"""The server's side of a connection in memory: what a client wrote goes in, what the script answers comes out.

Nothing here waits and nothing has a colour.
"""

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
from hyperframe.frame import GoAwayFrame

from harness.http1 import chunk, head

GARBAGE = b"\x00\x01 this speaks no protocol\r\n\r\n"


class Wire:
    """One connection. outbox: on its way to the client. ended: the server sent FIN. broken: it reset.

    ready: the client may speak HTTP. closed: the client closed its end. asked: how many GETs of
    HTTP/1.1 it began. repeated: how many of these after its first request.
    """

    def __init__(self):
        self.outbox = b""
        self.ended = self.broken = self.ready = self.closed = False
        self.used, self.asked, self.repeated = False, 0, 0

    @property
    def readable(self):
        return bool(self.outbox or self.ended or self.broken)

    def take(self, size):
        data, self.outbox = self.outbox[:size], self.outbox[size:]
        return data

    def answer(self, how, which):
        """Do what a server may do, now or never. which: for which of several requests."""
        if how in {"end", "break", "garble"}:
            self.ended = self.ended or how == "end"
            self.broken = self.broken or how == "break"
            self.outbox += GARBAGE if how == "garble" else b""
        else:
            self._answer(how, which)


class Http1Wire(Wire):
    """HTTP/1.1. It answers one request at a time: whole, in parts, as the last one, or as HTTP/1.0 does."""

    def __init__(self):
        super().__init__()
        self._asked = b""
        self._rest = False

    def feed(self, data):
        self._asked += data

    def _answer(self, how, which):
        if self._rest:
            self.outbox += chunk(b"rest") + chunk(b"")
            self._rest = False
        elif b"\r\n\r\n" in self._asked:
            self._asked = self._asked.partition(b"\r\n\r\n")[2]
            if how == "begin":
                self.outbox += head(200, [("transfer-encoding", "chunked")]) + chunk(b"begin")
                self._rest = True
            elif how == "last":
                self.outbox += head(200, [("content-length", "2"), ("connection", "close")]) + b"ok"
            elif how == "refuse":
                self.outbox += head(200, version="1.0") + b"until the end"
                self.ended = True
            else:
                self.outbox += head(200, [("content-length", "2")]) + b"ok"


class Http2Wire(Wire):
    """HTTP/2. It answers any of its streams, resets one, or sends GOAWAY, which may not have looked at some."""

    def __init__(self, max_streams):
        super().__init__()
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        limit = {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: max_streams}
        self._h2.local_settings = h2.settings.Settings(client=False, initial_values=limit)
        self._h2.initiate_connection()
        self._asked = []
        self._begun = []
        self._flush()

    def feed(self, data):
        try:
            for event in self._h2.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    self._asked.append(event.stream_id)
                elif isinstance(event, h2.events.StreamReset):
                    self._forget(event.stream_id)
        except h2.exceptions.ProtocolError:
            self.ended = True
        self._flush()

    def _answer(self, how, which):
        if how == "last":
            last = [0, *self._begun, *self._asked][which % (1 + len(self._begun) + len(self._asked))]
            self.outbox += GoAwayFrame(0, last_stream_id=last).serialize()
            return
        streams = self._begun + self._asked
        if not streams:
            return
        stream = streams[which % len(streams)]
        try:
            if how == "refuse":
                self._h2.reset_stream(stream)
                self._forget(stream)
            else:
                self._send(stream, end=how != "begin")
        except h2.exceptions.ProtocolError:
            self._forget(stream)  # the client reset it
        self._flush()

    def _send(self, stream, *, end):
        if stream in self._asked:
            self._h2.send_headers(stream, [(":status", "200")])
            self._asked.remove(stream)
            self._begun.append(stream)
        if end:
            self._h2.send_data(stream, b"ok", end_stream=True)
            self._forget(stream)

    def _forget(self, stream):
        for streams in (self._asked, self._begun):
            if stream in streams:
                streams.remove(stream)

    def _flush(self):
        self.outbox += self._h2.data_to_send()


ANSWERS = ("whole", "whole", "whole", "begin", "last", "refuse", "end", "break", "garble")
